#pragma once

#include "server_stage.h"

namespace krakend::http::test {

// What every http::Server must do, each part to be called from a test case of its own.
void server_reads_requests(const ServerFactory& make);
void server_refuses_malformed_heads(const ServerFactory& make);
void server_limits_heads(const ServerFactory& make);
void server_feeds_bodies(const ServerFactory& make);
void server_treats_broken_bodies(const ServerFactory& make);
void server_waits_for_slow_senders(const ServerFactory& make);
void server_frames_responses(const ServerFactory& make);
void server_sends_content(const ServerFactory& make);
void server_sends_late_content(const ServerFactory& make);
void server_answers_instead_of_late_content(const ServerFactory& make);
void server_limits_connections(const ServerFactory& make);
void server_answers_in_time(const ServerFactory& make);
void server_stops(const ServerFactory& make);

}  // namespace krakend::http::test
