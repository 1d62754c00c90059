#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/options.h"
#include "daemon/tls_config.h"
#include "krakend/core/log.h"
#include "krakend/core/metrics.h"
#include "krakend/io/clock.h"
#include "krakend/io/disk.h"
#include "krakend/io/loop.h"
#include "krakend/io/tls.h"

namespace krakend::daemon {

/// The certificates of all roles of this process, kept up to date: whoever changes the files need not restart
/// anything. Loop thread.
class TlsMaterial {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    io::Disk& disk;
  };
  TlsMaterial(Services services, Metrics metrics, Logger log);

  /// Reads everything for the first time. Blocks on the disk.
  Result<void> load(const std::map<Role, TlsConfig>& configs);
  /// Null where the side is plain.
  std::shared_ptr<io::TlsServer> server(Role role) const;
  std::shared_ptr<io::TlsClient> client(Role role) const;

  /// Reads everything again. What cannot be read stays as it was; the first such error is returned, all are
  /// logged.
  Task<Result<void>> reload();
  /// Reloads when files change, and keeps the gauge tls_cert_expiry_days. Until its group stops.
  Task<> watch();

 private:
  struct Entry {
    Role role;
    std::shared_ptr<io::TlsServer> server;
    std::shared_ptr<io::TlsClient> client;
  };
  /// Size and time of change of a file, and that it is there.
  using Stamp = std::pair<uint64_t, std::chrono::system_clock::time_point>;

  std::map<std::string, Stamp> stamps() const;
  void remember(const io::TlsFiles& files);
  void tell_ends();
  void tell_end(Role role, const char* side, io::CertificateEnd end);

  Services services_;
  Metrics metrics_;
  Logger log_;
  std::vector<Entry> entries_;
  std::set<std::string> paths_;
};

}  // namespace krakend::daemon
