#pragma once

#include <string>
#include <vector>

#include "krakend/io/tls.h"

namespace krakend::daemon {

/// One side of a component's `tls` block (contract config-ops §4).
struct TlsSide {
  bool disabled = true;
  std::string cert;  ///< PEM files
  std::string key;
  std::string passphrase;
};

/// A component's `tls` block. Without one both sides are plain; with one each side is on unless it says
/// otherwise.
struct TlsConfig {
  std::string name;
  std::vector<std::string> cas;
  TlsSide server;
  TlsSide client;

  io::TlsFiles files(const TlsSide& side) const { return {side.cert, side.key, side.passphrase, cas}; }
};

}  // namespace krakend::daemon
