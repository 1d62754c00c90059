#include "registry/referrers.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "krakend/core/url.h"
#include "krakend/registry/manifest.h"
#include "registry/errors.h"

namespace krakend::registry {

namespace {

using Json = nlohmann::ordered_json;

/// Changes of one list that meet those of other proxies.
constexpr unsigned rounds_max = 8;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json empty_index() {
  return Json{{"schemaVersion", 2}, {"mediaType", media_type::oci_index}, {"manifests", Json::array()}};
}

Result<Json> parse_index(std::string_view text) {
  if (text.empty()) return empty_index();
  // The limits on depth are those of every manifest.
  if (!manifest_media_type(text)) return fail(Errc::corrupt, "the list of referrers is not a JSON object");
  Json index = Json::parse(text, nullptr, false);
  const auto manifests = index.find("manifests");
  if (manifests == index.end() || !manifests->is_array()) {
    return fail(Errc::corrupt, "the list of referrers has no \"manifests\"");
  }
  return index;
}

/// A text member of an object; empty when it is something else.
std::string text_of(const Json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// The artifact type of a manifest is its own, else that of its config.
std::string artifact_type_of(const Json& manifest) {
  std::string type = text_of(manifest, "artifactType");
  const auto config = manifest.find("config");
  if (type.empty() && config != manifest.end()) type = text_of(*config, "mediaType");
  return type;
}

Json descriptor_of(const Referrer& referrer) {
  const Json manifest = Json::parse(referrer.text, nullptr, false);
  Json descriptor{
      {"mediaType", referrer.media_type}, {"digest", referrer.digest.str()}, {"size", referrer.text.size()}};
  const std::string type = artifact_type_of(manifest);
  if (!type.empty()) descriptor["artifactType"] = type;
  const auto annotations = manifest.find("annotations");
  if (annotations != manifest.end() && annotations->is_object()) descriptor["annotations"] = *annotations;
  return descriptor;
}

}  // namespace

std::string referrers_tag(const ContentDigest& subject) {
  constexpr size_t digits_max = 64;
  return fmt::format("{}-{}", subject.algorithm(), subject.hex().substr(0, digits_max));
}

Result<std::optional<std::string>> add_referrer(std::string_view index_text, const Referrer& referrer) {
  auto index = parse_index(index_text);
  if (!index) return propagate(index);
  Json& manifests = (*index)["manifests"];
  for (const Json& known : manifests) {
    if (text_of(known, "digest") == referrer.digest.str()) return std::optional<std::string>();
  }
  if (manifests.size() >= manifest_references_max) {
    return fail(Errc::too_large, "a manifest has at most {} referrers", manifest_references_max);
  }
  manifests.push_back(descriptor_of(referrer));
  return std::optional(dump(*index));
}

Result<std::optional<std::string>> remove_referrer(std::string_view index_text,
                                                   const std::vector<ContentDigest>& names) {
  auto index = parse_index(index_text);
  if (!index) return propagate(index);
  Json kept = Json::array();
  for (Json& known : (*index)["manifests"]) {
    const std::string digest = text_of(known, "digest");
    const auto is_it = [&digest](const ContentDigest& name) { return name.str() == digest; };
    if (std::none_of(names.begin(), names.end(), is_it)) kept.push_back(std::move(known));
  }
  if (kept.size() == (*index)["manifests"].size()) return std::optional<std::string>();
  if (kept.empty()) return std::optional(std::string());
  (*index)["manifests"] = std::move(kept);
  return std::optional(dump(*index));
}

Result<ReferrersPage> select_referrers(std::string_view index_text, std::string_view artifact_type,
                                       const PageRequest& page) {
  auto index = parse_index(index_text);
  if (!index) return propagate(index);
  std::vector<Json> kept;
  for (Json& known : (*index)["manifests"]) {
    if (artifact_type.empty() || text_of(known, "artifactType") == artifact_type)
      kept.push_back(std::move(known));
  }
  ReferrersPage out;
  if (page.count || !page.last.empty()) {
    const auto digest = [](const Json& descriptor) { return text_of(descriptor, "digest"); };
    std::sort(kept.begin(), kept.end(), [&](const Json& a, const Json& b) { return digest(a) < digest(b); });
    std::erase_if(kept, [&](const Json& known) { return digest(known) <= page.last; });
    if (page.count && *page.count < kept.size()) {
      kept.resize(*page.count);
      out.count = kept.size();
      if (!kept.empty()) out.next_after = digest(kept.back());
    }
  }
  (*index)["manifests"] = std::move(kept);
  out.index = dump(*index);
  return out;
}

Task<Result<std::string>> Referrers::load(std::string name, ContentDigest subject) {
  auto digest = co_await transfer_.get_tag(name, referrers_tag(subject));
  if (!digest && digest.error().code == Errc::not_found) co_return std::string();
  if (!digest) co_return propagate(digest);
  auto opened = co_await transfer_.open(name, *digest);
  // The garbage collector removes tag and index of a list that is not in use, one after the other.
  if (!opened && opened.error().code == Errc::not_found) co_return std::string();
  if (!opened) co_return propagate(opened);
  co_return co_await store_.read(opened->content);
}

Task<http::Response> Referrers::list(http::Request& request, std::string name, ContentDigest subject) {
  const auto page = page_request(request);
  if (!page) co_return bad_page(page.error());
  auto text = co_await load(name, subject);
  if (!text) co_return transfer_error(text.error(), code::manifest_unknown);
  const std::string type = request.query_param("artifactType").value_or("");
  const std::string* index = &*text;
  const std::string* wanted = &type;
  const PageRequest* part = &*page;
  auto selected = co_await loop_.offload([&] { return select_referrers(*index, *wanted, *part); });
  if (!selected) co_return transfer_error(selected.error(), code::manifest_unknown);
  http::Response response;
  response.headers.set("Content-Type", std::string(media_type::oci_index));
  if (!type.empty()) response.headers.set("OCI-Filters-Applied", "artifactType");
  if (!selected->next_after.empty()) {
    const std::string query = type.empty() ? "" : fmt::format("artifactType={}&", query_escape(type));
    response.headers.set("Link", next_link(fmt::format("/v2/{}/referrers/{}", name, subject.str()), query,
                                           selected->count, selected->next_after));
  }
  response.body = std::move(selected->index);
  co_return response;
}

Task<Result<bool>> Referrers::lists(std::string name, ContentDigest subject,
                                    std::vector<ContentDigest> names) {
  auto text = co_await load(std::move(name), subject);
  if (!text) co_return propagate(text);
  const std::string* index = &*text;
  const std::vector<ContentDigest>* wanted = &names;
  auto without = co_await loop_.offload([&] { return remove_referrer(*index, *wanted); });
  if (!without) co_return propagate(without);
  co_return without->has_value();
}

Task<Result<void>> Referrers::add(std::string name, ContentDigest subject, Referrer referrer) {
  const auto added = std::make_shared<const Referrer>(std::move(referrer));
  Change adding = [added](std::string_view index) { return add_referrer(index, *added); };
  co_return co_await change(std::move(name), subject, std::move(adding));
}

Task<Result<void>> Referrers::remove(std::string name, ContentDigest subject,
                                     std::vector<ContentDigest> names) {
  Change removing = [names = std::move(names)](std::string_view index) {
    return remove_referrer(index, names);
  };
  co_return co_await change(std::move(name), subject, std::move(removing));
}

Task<Result<void>> Referrers::change(std::string name, ContentDigest subject, Change change) {
  while (changing_) co_await free_.wait();
  changing_ = true;
  struct Release {
    Referrers& self;
    ~Release() {
      self.changing_ = false;
      self.free_.notify_all();
    }
  } const release{*this};
  co_return co_await change_alone(std::move(name), subject, change);
}

Task<Result<void>> Referrers::change_alone(std::string name, ContentDigest subject, const Change& change) {
  for (unsigned round = 0; round < rounds_max; ++round) {
    auto text = co_await load(name, subject);
    if (!text) co_return propagate(text);
    const std::string* old_index = &*text;
    const Change* apply = &change;
    auto index = co_await loop_.offload([&] { return (*apply)(*old_index); });
    if (!index) co_return propagate(index);
    if (!*index) co_return Result<void>{};
    auto written = co_await write(name, subject, std::move(**index));
    if (!written) co_return written;
  }
  co_return fail(Errc::unavailable,
                 "the list of referrers of {} is changed by others all the time: try again", subject.str());
}

Task<Result<void>> Referrers::write(std::string name, ContentDigest subject, std::string index) {
  if (index.empty()) co_return co_await transfer_.remove_tag(name, referrers_tag(subject));
  if (index.size() > store_.size_max()) {
    co_return fail(Errc::too_large, "the list of referrers of {} exceeds {} bytes", subject.str(),
                   store_.size_max());
  }
  const Digest digest = Digest::of(index);
  auto stored = co_await store_.write(name, digest, std::move(index));
  if (!stored) co_return stored;
  co_return co_await transfer_.put_tag(name, referrers_tag(subject), digest);
}

}  // namespace krakend::registry
