#pragma once

#include <initializer_list>
#include <string>

#include "krakend/http/client.h"

namespace krakend::api {

/// Total time of one call, from contract http-api §11.1.
namespace limits {
inline constexpr Duration readiness = 5s;
inline constexpr Duration locations = 5s;
inline constexpr Duration peer_context = 5s;
inline constexpr Duration stat = 15s;
inline constexpr Duration origin_metainfo = 15s;
inline constexpr Duration upload_start = 60s;
/// Longer than the reference's 60 s, which a 32 MiB chunk exceeds below 4.5 Mbit/s; silence ends it after 60
/// s.
inline constexpr Duration upload_patch = 10min;
inline constexpr Duration remove = 60s;
/// A blob of any size: only silence (the idle limit) ends its download.
inline constexpr Duration download = 24h;
inline constexpr Duration prefetch = 60s;
inline constexpr Duration announce = 10s;
inline constexpr Duration tracker_metainfo = 10s;
inline constexpr Duration tag_get = 10s;
inline constexpr Duration tag_put = 30s;
inline constexpr Duration tag_list = 60s;
inline constexpr Duration tag_duplicate = 10s;
inline constexpr Duration origin_address = 5s;
/// One answer to the wish for a copy in another cluster: krakend's origins say "pending" long before.
inline constexpr Duration replicate = 60s;
}  // namespace limits

/// A request to the host of label "host:port".
Result<http::ClientRequest> make_request(std::string method, const std::string& host, std::string target,
                                         Duration limit);

/// Sends it; a status other than the `accepted` ones is an error that carries it, of code pending (202),
/// not_found (404), already_exists (409) or what http::status_error says.
Task<Result<http::ClientResponse>> call(http::Client& client, http::ClientRequest request,
                                        int accepted = 200);

/// make_request and call in one.
Task<Result<http::ClientResponse>> call(http::Client& client, std::string method, std::string host,
                                        std::string target, Duration limit, int accepted = 200);

/// No HTTP answer was obtained from the host: the "network error" of the failover rules (contract http-api
/// §1.2).
bool no_answer(const Error& error);
/// 429, 502, 503 or 504.
bool retryable_status(const Error& error);

}  // namespace krakend::api
