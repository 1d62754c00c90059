#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "krakend/cluster/hosts.h"
#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/core/metainfo.h"
#include "krakend/core/peer.h"
#include "krakend/http/client.h"
#include "krakend/io/bandwidth.h"
#include "krakend/io/clock.h"
#include "krakend/io/content.h"
#include "krakend/io/loop.h"
#include "krakend/io/random.h"

namespace krakend::api {

/// Namespace of every blob that is pushed (contract http-api §1.11, quirk 9): the origins' backends are
/// chosen by it.
inline constexpr std::string_view push_namespace = "TODO";

/// krakend's own: with this header a download of a blob that the origin is still fetching is answered at
/// once, with the bytes as they come, instead of with 202.
inline constexpr std::string_view follow_header = "X-Krakend-Follow";

/// krakend's own, on PUT /tags/... and its duplicate: the tag comes from another cluster. Whoever passes it
/// on only fills gaps: else a cluster that is behind would take back what the first one has changed since.
inline constexpr std::string_view forwarded_header = "X-Krakend-Forwarded";

/// How long an origin may be silent while it verifies, writes back and replicates what it was given.
inline constexpr Duration commit_patience = 15min;

/// Nobody answered, or somebody who cannot just now (429, 502, 503, 504): worth another try, there or
/// elsewhere.
bool is_away(const Error& error);

/// Typed calls to one origin (contract http-api §4). Error::http_status carries an unexpected status;
/// not_found for 404, pending for 202, already_exists for 409.
class OriginClient {
 public:
  /// What copies between origins are held to, as replication, in chunks of 1 MiB while there is a limit.
  /// Null: to nothing.
  struct Limits {
    io::Bandwidth* egress = nullptr;   ///< for uploads
    io::Bandwidth* ingress = nullptr;  ///< for fetch()
  };
  OriginClient(http::Client& client, std::string host);
  OriginClient(http::Client& client, std::string host, Limits limits);
  const std::string& host() const { return host_; }
  Task<Result<std::vector<std::string>>> locations(Digest digest);
  Task<Result<uint64_t>> stat(std::string ns, Digest digest, bool local = false);
  Task<Result<MetaInfo>> metainfo(std::string ns, Digest digest);
  Task<Result<PeerContext>> peer_context();
  /// Feeds the blob into `sink`.
  Task<Result<void>> download(std::string ns, Digest digest, io::ByteSink& sink);
  /// The same for a copy, of which the size is known.
  Task<Result<void>> fetch(std::string ns, Digest digest, uint64_t size, io::ByteSink& sink);
  /// Has the origin fetch the blob from its backend, if it lacks it. Success: it has it, or has begun.
  Task<Result<void>> prefetch(std::string ns, Digest digest);
  /// Start, patch in chunks of at most 32 MiB, commit, which may be silent for so long; 409 at any step is
  /// success.
  Task<Result<void>> upload(std::string ns, Digest digest, io::FilePtr file, uint64_t size,
                            Duration commit_limit = commit_patience);
  /// The same between origins of one cluster: the receiver writes back after `delay` and does not replicate
  /// (§4.8).
  Task<Result<void>> duplicate(std::string ns, Digest digest, io::FilePtr file, uint64_t size,
                               Duration delay);
  /// A blob that is in the backend already: the receiver only keeps it (§4.9).
  Task<Result<void>> transfer(Digest digest, io::FilePtr file, uint64_t size);
  Task<Result<void>> remove(Digest digest);
  /// Also from the backend of the namespace, and when it is not written back yet (krakend's own).
  Task<Result<void>> erase(std::string ns, Digest digest);
  /// Has it copy the blob to the origins of another cluster, reached at "host:port". pending: it is at it.
  Task<Result<void>> replicate(std::string ns, Digest digest, std::string remote);
  Task<Result<void>> ready();
  /// Tells that this caller's origin has started and may lack blobs (krakend's own).
  Task<Result<void>> repair();

 private:
  struct UploadPaths;
  Task<Result<void>> upload_to(UploadPaths paths, io::FilePtr file, uint64_t size,
                               Duration commit_limit = commit_patience);
  /// Of the body by `range`, all of it when that is empty; how much came is not checked.
  Task<Result<void>> download_range(std::string ns, Digest digest, std::string range, int status,
                                    io::ByteSink& sink);

  http::Client& client_;
  std::string host_;
  Limits limits_;
};

/// The origins as a cluster: every call asks any origin for the owners of the digest, then talks to these, by
/// the reference's rules for order, failover and polling (contract http-api §11.2, §11.3). Locations are
/// cached 10 s.
class OriginCluster {
 public:
  struct Services {
    io::Loop& loop;
    http::Client& client;
    io::Clock& clock;
    io::Random& random;
  };
  OriginCluster(Services services, cluster::Hosts hosts, Logger log);
  ~OriginCluster();
  /// Ends what peers() still has under way; whoever calls peers() awaits this before destruction.
  Task<> stop();
  Task<Result<std::vector<std::string>>> locations(Digest digest);
  Task<Result<uint64_t>> stat(std::string ns, Digest digest);
  /// pending is passed on, not waited for.
  Task<Result<MetaInfo>> metainfo(std::string ns, Digest digest);
  /// Polls while an origin fetches the blob. The sink must accept the bytes from the start again when an
  /// origin fails half-way: `restart` is called before each attempt and returns the sink to use.
  Task<Result<void>> download(std::string ns, Digest digest, std::function<Result<io::ByteSink*>()> restart);
  /// Has the first owner that can fetch the blob from its backend; not_found when that owner says so.
  Task<Result<void>> prefetch(std::string ns, Digest digest);
  /// A small blob as text; corrupt when its bytes are not those of the digest, too_large beyond `limit`.
  Task<Result<std::string>> download_text(std::string ns, Digest digest, uint64_t limit);
  Task<Result<void>> upload(std::string ns, Digest digest, io::FilePtr file, uint64_t size,
                            Duration commit_limit = commit_patience);
  /// Has the owners copy the blob to another cluster: the first that can, polled while it is at it.
  Task<Result<void>> replicate(std::string ns, Digest digest, std::string remote);
  /// Removes the blob from every origin and from the backend of each namespace; success when nobody has it.
  /// An origin that cannot be asked is an error: the blob may still be there, try again.
  Task<Result<void>> erase(std::vector<std::string> namespaces, Digest digest);
  /// Owners of the digest as peers (origin:true, complete:true); contexts are cached 10 s, failures 1 min.
  Task<Result<std::vector<PeerInfo>>> peers(Digest digest);
  /// Whether one origin, picked at random among the owners of a random digest, is ready.
  Task<Result<void>> ready();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Tags at the build-index (contract http-api §6). Hosts in random order, the next one on a network error.
class TagClient {
 public:
  TagClient(http::Client& client, io::Clock& clock, io::Random& random, cluster::Hosts hosts);
  ~TagClient();
  /// `tag` is "repo:tag". not_found.
  Task<Result<Digest>> get(std::string tag);
  Task<Result<void>> put(std::string tag, Digest digest, bool replicate);
  /// A tag of another cluster; `fill`: only where there is none. already_exists: there is another one.
  Task<Result<void>> put_forwarded(std::string tag, Digest digest, bool fill);
  /// Whether the tag is there.
  Task<Result<bool>> has(std::string tag);
  /// Where the cluster of the build-index takes blobs: "host:port".
  Task<Result<std::string>> origin();
  /// Among the build-indexes of one cluster (contract http-api §6.8, §6.9): what a put has changed, and what
  /// is to be replicated by whoever of them comes first; after `delay`.
  Task<Result<void>> duplicate_put(std::string tag, Digest digest, Duration delay);
  Task<Result<void>> duplicate_replicate(std::string tag, Digest digest, std::vector<Digest> dependencies,
                                         Duration delay, bool forwarded);
  /// not_found. krakend's own: a reference build-index answers 405.
  Task<Result<void>> remove(std::string tag);
  /// All names under a prefix, all pages; "" lists everything.
  Task<Result<std::vector<std::string>>> list(std::string prefix);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Trackers on a passive ring (contract p2p §15.4, §15.6).
class TrackerClient {
 public:
  TrackerClient(http::Client& client, io::Clock& clock, io::Random& random, cluster::Hosts hosts);
  ~TrackerClient();
  /// Polls 202 (1 s × 1.3 up to 5 s, ±5 %, 15 min); an answer that is still pending then is an error.
  Task<Result<MetaInfo>> metainfo(std::string ns, Digest digest);
  Task<Result<AnnounceResponse>> announce(AnnounceRequest request);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace krakend::api
