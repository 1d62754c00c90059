#include "daemon/tls_material.h"

#include <algorithm>

#include "krakend/core/units.h"

namespace krakend::daemon {
namespace {

/// Between two looks at the files.
constexpr Duration look_interval = 10s;
/// Between two settings of the gauge, as the reference has it.
constexpr Duration gauge_interval = 1h;
/// Certificates that end sooner are warned of.
constexpr double warn_days = 14;

double days(std::chrono::system_clock::duration time) {
  return std::chrono::duration<double, std::ratio<86400>>(time).count();
}

}  // namespace

TlsMaterial::TlsMaterial(Services services, Metrics metrics, Logger log)
    : services_(services), metrics_(std::move(metrics)), log_(std::move(log)) {}

void TlsMaterial::remember(const io::TlsFiles& files) {
  paths_.insert({files.cert, files.key, files.passphrase});
  paths_.insert(files.cas.begin(), files.cas.end());
  paths_.erase("");
}

Result<void> TlsMaterial::load(const std::map<Role, TlsConfig>& configs) {
  for (const auto& [role, config] : configs) {
    Entry entry{role, nullptr, nullptr};
    if (!config.server.disabled) {
      auto server = io::TlsServer::load(services_.disk, config.files(config.server));
      if (!server)
        return fail(server.error().code, "{}: tls.server: {}", to_string(role), server.error().message);
      entry.server = std::move(*server);
      remember(entry.server->files());
    }
    if (!config.client.disabled) {
      auto client = io::TlsClient::load(services_.disk, {config.files(config.client), config.name});
      if (!client)
        return fail(client.error().code, "{}: tls.client: {}", to_string(role), client.error().message);
      entry.client = std::move(*client);
      remember(entry.client->options().files);
    }
    if (entry.server || entry.client) entries_.push_back(std::move(entry));
  }
  tell_ends();
  return {};
}

std::shared_ptr<io::TlsServer> TlsMaterial::server(Role role) const {
  for (const Entry& entry : entries_) {
    if (entry.role == role) return entry.server;
  }
  return nullptr;
}

std::shared_ptr<io::TlsClient> TlsMaterial::client(Role role) const {
  for (const Entry& entry : entries_) {
    if (entry.role == role) return entry.client;
  }
  return nullptr;
}

Task<Result<void>> TlsMaterial::reload() {
  Result<void> outcome;
  for (const Entry& entry : entries_) {
    auto reloaded = co_await services_.loop.offload([&, this]() -> Result<void> {
      if (entry.server) {
        if (auto done = entry.server->reload(services_.disk); !done) return done;
      }
      return entry.client ? entry.client->reload(services_.disk) : Result<void>{};
    });
    const Logger log = log_.role(std::string(to_string(entry.role)));
    if (reloaded) {
      log.info("certificates were read again");
    } else {
      log.error("certificates stay as they were: {}", reloaded.error().message);
      if (outcome) outcome = std::move(reloaded);
    }
  }
  tell_ends();
  co_return outcome;
}

/// Pool. A file that is not there has no stamp.
std::map<std::string, TlsMaterial::Stamp> TlsMaterial::stamps() const {
  std::map<std::string, Stamp> stamps;
  for (const std::string& path : paths_) {
    if (auto stat = services_.disk.stat(path)) stamps.emplace(path, Stamp{stat->size, stat->modified});
  }
  return stamps;
}

Task<> TlsMaterial::watch() {
  if (entries_.empty()) co_return;
  auto known = co_await services_.loop.offload([this] { return stamps(); });
  TimePoint told = services_.clock.now();
  for (;;) {
    co_await services_.clock.sleep(look_interval);
    auto now = co_await services_.loop.offload([this] { return stamps(); });
    if (now != known) {
      known = std::move(now);
      static_cast<void>(co_await reload());
    } else if (services_.clock.now() - told >= gauge_interval) {
      told = services_.clock.now();
      tell_ends();
    }
  }
}

void TlsMaterial::tell_ends() {
  for (const Entry& entry : entries_) {
    if (entry.server) tell_end(entry.role, "server", entry.server->ends());
    if (const auto end = entry.client ? entry.client->ends() : std::nullopt)
      tell_end(entry.role, "client", *end);
  }
}

void TlsMaterial::tell_end(Role role, const char* side, io::CertificateEnd end) {
  const std::string name(to_string(role));
  const double left = days(end - services_.clock.wall());
  const MetricName gauge{"tls_cert_expiry_days",
                         "days until the certificate of a side ends",
                         "tls_cert_expiry_days",
                         {{"cert", side}}};
  metrics_.role(name).gauge(gauge).set(left);
  if (left < 0) {
    log_.role(name).error("the {} certificate ended {:.1f} days ago: replace its files, it is read again",
                          side, -left);
  } else if (left < warn_days) {
    log_.role(name).warn("the {} certificate ends in {:.1f} days", side, left);
  }
}

}  // namespace krakend::daemon
