#include <algorithm>

#include "krakend/backend/backend.h"

namespace krakend::backend {
namespace {

/// A name must stay below the root whatever it contains.
Result<void> check_name(std::string_view name) {
  bool bad = name.empty() || name.find('\0') != std::string_view::npos;
  for (size_t start = 0; start <= name.size() && !bad;) {
    const auto end = std::min(name.find('/', start), name.size());
    const auto part = name.substr(start, end - start);
    bad = part == ".." || part == ".";
    start = end + 1;
  }
  if (bad) return fail(Errc::invalid_argument, "\"{}\" is not a valid object name", name);
  return {};
}

tl::unexpected<Error> foreign(std::string_view path) {
  return fail(Errc::invalid_argument, "{} is not a path of this scheme", path);
}

class Identity final : public NamePath {
 public:
  explicit Identity(std::string root) : root_(std::move(root)) {}
  Result<std::string> path(std::string_view name) const override {
    if (auto ok = check_name(name); !ok) return propagate(ok);
    return fmt::format("{}/{}", root_, name);
  }
  Result<std::string> name(std::string_view path) const override {
    if (!path.starts_with(root_ + "/")) return foreign(path);
    return std::string(path.substr(root_.size() + 1));
  }
  std::string base() const override { return root_; }

 private:
  std::string root_;
};

class DockerTag final : public NamePath {
 public:
  explicit DockerTag(const std::string& root) : base_(root + "/docker/registry/v2/repositories") {}
  Result<std::string> path(std::string_view name) const override {
    if (auto ok = check_name(name); !ok) return propagate(ok);
    const auto colon = name.find(':');
    if (colon == 0 || colon == std::string_view::npos || colon + 1 == name.size() ||
        name.find(':', colon + 1) != std::string_view::npos) {
      return fail(Errc::invalid_argument, "\"{}\" is not repo:tag", name);
    }
    return fmt::format("{}/{}{}{}{}", base_, name.substr(0, colon), tags_, name.substr(colon + 1), link_);
  }
  Result<std::string> name(std::string_view path) const override {
    if (!path.starts_with(base_ + "/") || !path.ends_with(link_)) return foreign(path);
    path.remove_prefix(base_.size() + 1);
    path.remove_suffix(link_.size());
    const auto middle = path.rfind(tags_);
    if (middle == std::string_view::npos || middle == 0) return foreign(path);
    return fmt::format("{}:{}", path.substr(0, middle), path.substr(middle + tags_.size()));
  }
  std::string base() const override { return base_; }

 private:
  static constexpr std::string_view tags_ = "/_manifests/tags/";
  static constexpr std::string_view link_ = "/current/link";
  std::string base_;
};

class ShardedBlob final : public NamePath {
 public:
  explicit ShardedBlob(const std::string& root) : base_(root + "/docker/registry/v2/blobs") {}
  Result<std::string> path(std::string_view name) const override {
    if (auto ok = check_name(name); !ok) return propagate(ok);
    if (name.size() <= 2) return fail(Errc::invalid_argument, "\"{}\" is too short for a blob name", name);
    return fmt::format("{}/sha256/{}/{}/data", base_, name.substr(0, 2), name);
  }
  Result<std::string> name(std::string_view path) const override {
    constexpr std::string_view file = "/data";
    const auto prefix = base_ + "/sha256/";
    if (!path.starts_with(prefix) || !path.ends_with(file)) return foreign(path);
    path.remove_suffix(file.size());
    return std::string(path.substr(path.rfind('/') + 1));
  }
  std::string base() const override { return base_; }

 private:
  std::string base_;
};

}  // namespace

Result<std::unique_ptr<NamePath>> make_name_path(std::string_view id, std::string root) {
  while (root.size() > 1 && root.ends_with('/')) root.pop_back();
  if (id == "identity") return std::unique_ptr<NamePath>(std::make_unique<Identity>(root));
  if (id == "docker_tag") return std::unique_ptr<NamePath>(std::make_unique<DockerTag>(root));
  if (id == "sharded_docker_blob") return std::unique_ptr<NamePath>(std::make_unique<ShardedBlob>(root));
  return fail(Errc::invalid_argument,
              "unknown name_path \"{}\": use identity, docker_tag or sharded_docker_blob", id);
}

}  // namespace krakend::backend
