#pragma once

#include <functional>
#include <memory>
#include <string>

#include "krakend/core/log.h"
#include "krakend/http/client.h"
#include "krakend/http/server.h"
#include "krakend/io/disk.h"
#include "krakend/io/loop.h"
#include "krakend/io/random.h"
#include "krakend/io/task_group.h"

namespace krakend::agent {

/// What this agent cannot answer is asked of another registry (contract config-ops §5.5): GET and HEAD that
/// failed here. Blobs pass through a nameless file, so a slow client costs disk and no memory. Loop thread.
class BackupRegistry {
 public:
  struct Services {
    io::Loop& loop;
    io::Disk& disk;
    io::Random& random;
    io::TaskGroup& tasks;
    /// Plain HTTP, as the reference has it, whatever the other roles are called with.
    http::Client& client;
  };
  /// Blobs that are fetched at once; beyond: 503.
  static constexpr size_t max_downloads = 16;

  /// `spool_dir` exists.
  BackupRegistry(Services services, io::Address address, std::string spool_dir, Logger log);

  using Handle = std::function<Task<http::Response>(http::Request&)>;
  /// The answer of `local`, or the other registry's where that one failed.
  Task<http::Response> answer(http::Request& request, Handle local);

 private:
  Task<http::Response> replay(const http::Request& request);
  Task<http::Response> relay_text(http::ClientRequest call);
  Task<http::Response> relay_blob(http::ClientRequest call);
  std::string spool_path();
  http::ClientRequest call_for(const http::Request& request) const;
  http::Response unreachable(const Error& error) const;

  Services services_;
  const io::Address address_;
  const std::string spool_dir_;
  Logger log_;
  size_t downloads_ = 0;
};

}  // namespace krakend::agent
