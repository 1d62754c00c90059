#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "krakend/core/metainfo.h"
#include "sim/cluster.h"
#include "support/slice_file.h"
#include "support/synthetic.h"

namespace krakend::sim {

/// A blob that a scenario moves about.
struct SimBlob {
  SimBlob(uint64_t seed, uint64_t size)
      : content(std::make_shared<const test::Synthetic>(seed, size)), digest(content->digest()) {}
  test::SyntheticPtr content;
  Digest digest;
};

MetaInfo metainfo_of(const SimBlob& blob, uint64_t piece_length);
/// The blob as a file in memory, to be sent.
io::FilePtr file_of(const SimBlob& blob);
/// Puts a complete blob into the store of a node that does not run, as the product lays it down.
void plant(Cluster& cluster, Node& node, const SimBlob& blob, uint64_t piece_length);

/// Compares what arrives with what the blob is, byte by byte.
class BlobCheck final : public test::SliceSink {
 public:
  explicit BlobCheck(const SimBlob& blob, uint64_t begin = 0) : content_(blob.content), at_(begin) {}
  Result<void> write(std::span<const std::byte> data) override;
  Result<void> write_slice(const test::Slice& slice) override;
  /// Where the next byte belongs.
  uint64_t position() const { return at_; }
  /// What a client sees first of a blob that is not the right one.
  const std::optional<std::string>& wrong() const { return wrong_; }

 private:
  test::SyntheticPtr content_;
  uint64_t at_;
  std::optional<std::string> wrong_;
};

/// One download by a client and what came of it.
struct Pull {
  TimePoint asked;
  std::optional<TimePoint> first_byte;
  std::optional<TimePoint> ended;
  std::optional<std::string> failure;
  std::optional<std::string> wrong;  ///< bytes that are not the blob's
  bool good() const { return ended && !failure && !wrong; }
  double seconds() const { return to_seconds(*ended - asked); }
};

/// GET of a blob from the registry at `host`, once.
Task<> pull(Cluster& cluster, http::Client& client, io::Address host, std::string repo, const SimBlob& blob,
            Pull& out);

std::string static_list(const std::vector<std::string>& hosts);

}  // namespace krakend::sim
