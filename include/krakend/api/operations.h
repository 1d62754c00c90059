#pragma once

#include "krakend/api/services.h"
#include "krakend/http/server.h"

namespace krakend::api {

/// The process as its operator sees it; the composition root implements it, and every role shows it on its
/// own HTTP port. Loop thread.
class Operations {
 public:
  virtual ~Operations() = default;
  /// The process is on its way out: not ready for anything new.
  virtual bool draining() const = 0;
  /// Reads the configuration again and answers what changed and what needs a restart; 400 when the files are
  /// wrong, and nothing has changed then.
  virtual Task<http::Response> reload() = 0;
};

/// GET /metrics (the numbers of all roles of this process as Prometheus text) and POST /x/reload.
void add_operations(http::Router& router, const Services& services);

/// `check` as the handler of /readiness: 503 once the process drains.
http::Handler readiness(const Services& services, http::Handler check);

}  // namespace krakend::api
