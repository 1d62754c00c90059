#pragma once

#include "krakend/core/log.h"
#include "krakend/core/metrics.h"
#include "krakend/http/client.h"
#include "krakend/http/server.h"
#include "krakend/io/clock.h"
#include "krakend/io/disk.h"
#include "krakend/io/loop.h"
#include "krakend/io/net.h"
#include "krakend/io/random.h"
#include "krakend/io/tls.h"

namespace krakend::api {

class Operations;

/// What every role gets from the composition root. Only role constructors take the bundle; classes below them
/// take just what they use. All of it outlives the role. `client`, `log` and `metrics` are the role's own.
struct Services {
  io::Loop& loop;
  io::Clock& clock;
  io::Random& random;
  io::Net& net;
  io::Disk& disk;
  http::Server& server;
  http::Client& client;
  Logger log;
  Metrics metrics = {};
  /// Of the role's listeners; null: plain HTTP.
  std::shared_ptr<io::TlsServer> tls = {};
  /// Of the process; null where there is none.
  Operations* operations = nullptr;
};

}  // namespace krakend::api
