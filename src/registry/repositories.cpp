#include "registry/repositories.h"

#include "krakend/core/internal_tags.h"

namespace krakend::registry {

namespace {

constexpr const char* note_tag = "known";

std::string note_repository(const std::string& name) {
  return fmt::format("{}repositories/{}", internal_tag_prefix, name);
}

}  // namespace

Task<Result<std::vector<std::string>>> Repositories::tags(std::string name) {
  auto tags = co_await transfer_.list_tags(name);
  if (tags || tags.error().code != Errc::not_found) co_return tags;
  auto note = co_await transfer_.get_tag(note_repository(name), note_tag);
  if (!note && note.error().code != Errc::not_found) co_return propagate(note);
  if (!note) co_return tags;
  co_return std::vector<std::string>();
}

Task<Result<void>> Repositories::remember(std::string name) {
  auto tags = co_await transfer_.list_tags(name);
  if (tags || tags.error().code != Errc::not_found) co_return Result<void>{};
  // The value means nothing: what counts is that the note is there.
  co_return co_await transfer_.put_tag(note_repository(name), note_tag, Digest());
}

}  // namespace krakend::registry
