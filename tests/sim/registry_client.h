#pragma once

#include <string>
#include <vector>

#include "sim/workload.h"

namespace krakend::sim {

/// What docker does, as one client on one host: pushes and pulls over the registry's API, with patience.
class RegistryClient {
 public:
  /// Attempts of each step, and the pause between them.
  static constexpr unsigned attempts = 8;
  static constexpr Duration pause = 3s;
  static constexpr Duration patience = 60s;  ///< of each request

  RegistryClient(Cluster& cluster, HostId host) : cluster_(cluster), client_(cluster.make_client(host)) {}

  /// Success: the registry has acknowledged the whole blob.
  Task<Result<void>> push(io::Address registry, std::string repo, const SimBlob& blob);
  Task<Result<void>> put_manifest(io::Address registry, std::string repo, std::string tag,
                                  std::string manifest);
  Task<Result<std::string>> get_manifest(io::Address registry, std::string repo, std::string tag);
  /// As an empty text where the registry says that there is none.
  Task<Result<std::string>> find_manifest(io::Address registry, std::string repo, std::string tag);
  /// 202 and 404 are both success: nobody finds it any more.
  Task<Result<void>> remove_manifest(io::Address registry, std::string repo, std::string manifest);
  /// One attempt: whether the blob is there.
  Task<Result<bool>> has(io::Address registry, std::string repo, const SimBlob& blob);
  /// All bytes, compared; tried again when the answer ends early, never when a byte is wrong.
  Task<Result<void>> pull(io::Address registry, std::string repo, const SimBlob& blob);
  /// Attempts to pull that came to nothing.
  unsigned failed_pulls() const { return failed_pulls_; }

 private:
  Task<Result<http::ClientResponse>> send(http::ClientRequest request);
  Task<Result<void>> push_once(io::Address registry, std::string repo, const SimBlob& blob);

  Cluster& cluster_;
  std::unique_ptr<http::Client> client_;
  unsigned failed_pulls_ = 0;
};

/// A manifest that names these layers; the first one stands for the configuration.
std::string manifest_of(const std::vector<SimBlob>& blobs);

}  // namespace krakend::sim
