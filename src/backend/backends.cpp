#include <re2/re2.h>

#include "krakend/backend/backend.h"

namespace krakend::backend {
namespace {

constexpr std::string_view noop_namespace = "__noop__";

/// Has nothing, swallows everything.
class NoopBackend final : public Backend {
 public:
  Task<Result<uint64_t>> stat(std::string name) override { co_return nothing(name); }
  Task<Result<void>> download(std::string name, uint64_t, io::ByteSink&) override { co_return nothing(name); }
  Task<Result<void>> upload(std::string, io::FilePtr, std::string) override { co_return Result<void>{}; }
  Task<Result<std::string>> get(std::string name, uint64_t) override { co_return nothing(name); }
  Task<Result<void>> put(std::string, std::string) override { co_return Result<void>{}; }
  Task<Result<void>> remove(std::string) override { co_return Result<void>{}; }
  Task<Result<std::vector<std::string>>> list(std::string) override { co_return std::vector<std::string>{}; }

 private:
  static tl::unexpected<Error> nothing(const std::string& name) {
    return fail(Errc::not_found, "{} is not stored", name);
  }
};

}  // namespace

struct Backends::Entry {
  Entry(std::string_view regex, BackendPtr b, bool must)
      : expression({regex.data(), regex.size()}, RE2::Quiet), backend(std::move(b)), must_ready(must) {}
  RE2 expression;
  BackendPtr backend;
  bool must_ready;
};

Backends::Backends() = default;
Backends::~Backends() = default;

Result<void> Backends::add(std::string_view regex, BackendPtr backend, bool must_ready) {
  auto entry = std::make_unique<Entry>(regex, std::move(backend), must_ready);
  if (!entry->expression.ok()) {
    return fail(Errc::invalid_argument, "namespace expression \"{}\": {}", regex, entry->expression.error());
  }
  entries_.push_back(std::move(entry));
  return {};
}

Task<Result<void>> Backends::ready(std::string probe) const {
  for (const auto& entry : entries_) {
    if (!entry->must_ready) continue;
    auto found = co_await entry->backend->stat(probe);
    // A backend of tags does not take the name of a blob: it has answered.
    if (found || found.error().code == Errc::not_found || found.error().code == Errc::invalid_argument)
      continue;
    co_return fail(Errc::unavailable, "backend for namespace '{}' not ready: {}", entry->expression.pattern(),
                   found.error().message);
  }
  co_return Result<void>{};
}

Result<BackendPtr> Backends::find(std::string_view ns) const {
  if (ns == noop_namespace) return BackendPtr(std::make_shared<NoopBackend>());
  for (const auto& entry : entries_) {
    if (RE2::PartialMatch({ns.data(), ns.size()}, entry->expression)) return entry->backend;
  }
  return fail(Errc::not_found, "no backend is configured for namespace \"{}\"", ns);
}

}  // namespace krakend::backend
