#include "api/call.h"

#include <utility>

#include "krakend/api/clients.h"

namespace krakend::api {

Result<http::ClientRequest> make_request(std::string method, const std::string& host, std::string target,
                                         Duration limit) {
  auto address = io::Address::parse(host);
  if (!address) return propagate(address);
  http::ClientRequest request;
  request.method = std::move(method);
  request.host = std::move(*address);
  request.target = std::move(target);
  request.total_timeout = limit;
  return request;
}

Task<Result<http::ClientResponse>> call(http::Client& client, http::ClientRequest request, int accepted) {
  auto response = co_await client.send(request);
  if (!response || response->status == accepted) co_return response;
  Error error = http::status_error(request, *response);
  error.http_status = response->status;
  if (response->status == 202) error.code = Errc::pending;
  if (response->status == 404) error.code = Errc::not_found;
  if (response->status == 409) error.code = Errc::already_exists;
  co_return fail(std::move(error));
}

Task<Result<http::ClientResponse>> call(http::Client& client, std::string method, std::string host,
                                        std::string target, Duration limit, int accepted) {
  auto request = make_request(std::move(method), host, std::move(target), limit);
  if (!request) co_return propagate(request);
  co_return co_await call(client, std::move(*request), accepted);
}

bool no_answer(const Error& error) {
  if (error.http_status != 0) return false;
  return error.code == Errc::network || error.code == Errc::timeout || error.code == Errc::protocol;
}

bool retryable_status(const Error& error) {
  const int status = error.http_status;
  return status == 429 || status == 502 || status == 503 || status == 504;
}

bool is_away(const Error& error) {
  return no_answer(error) || retryable_status(error);
}

}  // namespace krakend::api
