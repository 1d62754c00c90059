#pragma once

#include <string>

#include "sim/storm.h"

namespace krakend::sim {

/// Who wants images to be at the origins before they are pulled, and what it looks at to see that they are.
class PrefetchClient {
 public:
  enum class Way { version1, version2, notification };
  static constexpr unsigned ways = 3;
  /// Where the proxy takes notifications.
  static constexpr uint16_t server_port = 15005;

  explicit PrefetchClient(Storm& storm)
      : storm_(storm), client_(storm.cluster().make_client(storm.client_host())) {}

  /// The status; 0 when there was no answer. An answer that does not say what its status says is a failure of
  /// the run. `manifest`: of a notification.
  Task<int> ask(Way way, std::string repo, std::string tag, std::string manifest);
  /// Takes a blob away from every origin that runs; false where one still has it, or may have it.
  Task<bool> evict(Digest digest);
  /// The same, again and again for a while.
  Task<bool> evict_for_sure(Digest digest);
  /// The name of an origin whose store has the blob; empty: none has.
  Task<std::string> whereabouts(Digest digest);
  /// The same, again and again for a while.
  Task<std::string> await_at_origin(Digest digest);
  /// All bytes from that origin, compared.
  Task<Result<void>> read(std::string origin, const SimBlob& blob);
  /// The same of a manifest.
  Task<Result<void>> read_text(std::string origin, std::string text);

 private:
  Task<Result<http::ClientResponse>> send(std::string method, io::Address host, std::string target,
                                          std::string body, io::ByteSink* sink);

  Storm& storm_;
  std::unique_ptr<http::Client> client_;
};

/// Blobs vanish from origins all the time, while one of the other faults, which the seed draws, goes on.
Task<> lose_blobs(Storm& storm);

}  // namespace krakend::sim
