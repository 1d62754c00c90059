#include "roles/gc/cluster_reader.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "krakend/core/hex.h"

namespace krakend::gc {
namespace {

tl::unexpected<Error> read_only() {
  return fail(Errc::unavailable, "the garbage collector only reads here");
}

/// A blob in memory.
class Text final : public io::Content, public io::File, public std::enable_shared_from_this<Text> {
 public:
  explicit Text(std::string text) : text_(std::move(text)) {}

  Result<uint64_t> size() override { return uint64_t{text_.size()}; }
  uint64_t size() const override { return text_.size(); }
  io::FilePtr file() const override { return std::const_pointer_cast<Text>(shared_from_this()); }
  Task<Result<uint64_t>> ready(uint64_t /*offset*/) override { co_return uint64_t{text_.size()}; }

  Result<size_t> read_at(uint64_t offset, std::span<std::byte> out) override {
    const size_t begin = std::min<uint64_t>(offset, text_.size());
    const size_t count = std::min(out.size(), text_.size() - begin);
    std::memcpy(out.data(), text_.data() + begin, count);
    return count;
  }
  Result<void> write_at(uint64_t /*offset*/, std::span<const std::byte> /*data*/) override {
    return read_only();
  }
  Result<void> allocate(uint64_t /*size*/) override { return read_only(); }
  Result<void> truncate(uint64_t /*size*/) override { return read_only(); }
  Result<void> sync() override { return {}; }
  int descriptor() const override { return -1; }

 private:
  const std::string text_;
};

}  // namespace

Task<Result<uint64_t>> ClusterReader::stat(std::string repo, Digest digest) {
  co_return co_await origins_.stat(std::move(repo), digest);
}

Task<Result<registry::OpenedBlob>> ClusterReader::open(std::string repo, Digest digest) {
  auto text = co_await origins_.download_text(std::move(repo), digest, manifest_size_max);
  if (!text) co_return propagate(text);
  co_return registry::OpenedBlob{std::make_shared<Text>(std::move(*text)), "origin"};
}

Task<Result<Digest>> ClusterReader::get_tag(std::string repo, std::string tag) {
  co_return co_await tags_.get(fmt::format("{}:{}", repo, tag));
}

Task<Result<std::vector<std::string>>> ClusterReader::list_names(std::string prefix) {
  co_return co_await tags_.list(std::move(prefix));
}

}  // namespace krakend::gc
