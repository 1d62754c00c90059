#pragma once

#include "client_stage.h"

namespace krakend::http::test {

// What every http::Client must do, each part to be called from a test case of its own.
void client_sends_requests(const ClientFactory& make);
void client_takes_answers(const ClientFactory& make);
void client_reports_failures(const ClientFactory& make);
void client_keeps_connections(const ClientFactory& make);
void client_survives_stale_connections(const ClientFactory& make);
void client_limits_time(const ClientFactory& make);
void client_limits_concurrency(const ClientFactory& make);
void client_ends_with_its_task(const ClientFactory& make);

}  // namespace krakend::http::test
