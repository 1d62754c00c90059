#include "sim/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "support/take.h"

namespace krakend::sim {
namespace {

/// Longest any client of a scenario waits for one answer.
constexpr Duration client_patience = 30min;

/// Tells when the first byte has come.
class FirstByte final : public test::SliceSink {
 public:
  FirstByte(BlobCheck& next, Timeline& time, std::optional<TimePoint>& first)
      : next_(next), time_(time), first_(first) {}
  Result<void> write(std::span<const std::byte> data) override {
    if (!first_) first_ = time_.now();
    return next_.write(data);
  }
  Result<void> write_slice(const test::Slice& slice) override {
    if (!first_) first_ = time_.now();
    return next_.write_slice(slice);
  }

 private:
  BlobCheck& next_;
  Timeline& time_;
  std::optional<TimePoint>& first_;
};

}  // namespace

MetaInfo metainfo_of(const SimBlob& blob, uint64_t piece_length) {
  std::vector<uint32_t> sums;
  const uint64_t size = blob.content->size();
  for (uint64_t at = 0; at < size; at += piece_length)
    sums.push_back(blob.content->crc(at, std::min(piece_length, size - at)));
  return test::take(MetaInfo::make(blob.digest, size, piece_length, std::move(sums)));
}

io::FilePtr file_of(const SimBlob& blob) {
  test::MemoryDisk disk;
  auto file = test::take(disk.make_memory_file());
  test::take(
      dynamic_cast<test::SliceFile&>(*file).write_slice(0, {blob.content, nullptr, 0, blob.content->size()}));
  return file;
}

void plant(Cluster& cluster, Node& node, const SimBlob& blob, uint64_t piece_length) {
  storage::StoreOptions options;
  const std::string data = "/" + node.name() + "/data";
  options.cache_dir = data + "/cache";
  options.download_dir = data + "/download";
  options.upload_dir = data + "/upload";
  storage::BlobStore store(cluster.time().loop(), node.platters(), cluster.random(), options, Logger());
  test::take(store.open_directories());
  bool done = false;
  const auto work = [&]() -> Task<> {
    const auto partial = test::take(co_await store.open_partial(metainfo_of(blob, piece_length)));
    auto& file = dynamic_cast<test::SliceFile&>(*partial->file());
    test::take(file.write_slice(0, {blob.content, nullptr, 0, blob.content->size()}));
    for (PieceIndex index = 0; index < partial->metainfo().piece_count(); ++index) {
      const std::vector<PieceIndex> arrived{index};
      test::take(co_await partial->mark(arrived));
    }
    test::take(co_await partial->commit());
    done = true;
  };
  cluster.tasks().spawn(work(), "plant");
  constexpr Duration patience = 10min;
  if (!cluster.run_until([&] { return done; }, patience))
    throw std::runtime_error("a blob could not be planted");
}

Result<void> BlobCheck::write(std::span<const std::byte> data) {
  std::vector<std::byte> expected(data.size());
  const bool fits = at_ + data.size() <= content_->size();
  if (fits) content_->fill(at_, expected);
  if ((!fits || std::memcmp(expected.data(), data.data(), data.size()) != 0) && !wrong_)
    wrong_ = fmt::format("wrong bytes at {} of {}", at_, content_->size());
  at_ += data.size();
  return {};
}

Result<void> BlobCheck::write_slice(const test::Slice& slice) {
  if (slice.synthetic != content_)
    return test::for_each_part(slice, [this](auto part) { return write(part); });
  if (slice.offset != at_ && !wrong_)
    wrong_ = fmt::format("the bytes of {} at {} of {}", slice.offset, at_, content_->size());
  at_ += slice.length;
  return {};
}

Task<> pull(Cluster& cluster, http::Client& client, io::Address host, std::string repo, const SimBlob& blob,
            Pull& out) {
  BlobCheck check(blob);
  FirstByte sink(check, cluster.time(), out.first_byte);
  http::ClientRequest request;
  request.host = std::move(host);
  request.target = fmt::format("/v2/{}/blobs/{}", repo, blob.digest.str());
  request.sink = &sink;
  request.idle_timeout = client_patience;
  request.total_timeout = client_patience;
  out.asked = cluster.time().now();
  auto response = co_await client.send(request);
  out.ended = cluster.time().now();
  out.wrong = check.wrong();
  if (!response)
    out.failure = response.error().message;
  else if (response->status != 200)
    out.failure = fmt::format("status {}: {}", response->status, response->body);
  else if (check.position() != blob.content->size())
    out.failure = fmt::format("{} of {} bytes", check.position(), blob.content->size());
}

std::string static_list(const std::vector<std::string>& hosts) {
  std::string list;
  for (const std::string& host : hosts) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", host);
  return fmt::format("{{static: [{}]}}", list);
}

}  // namespace krakend::sim
