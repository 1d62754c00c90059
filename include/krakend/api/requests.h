#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "krakend/core/digest.h"
#include "krakend/http/message.h"
#include "krakend/http/server.h"

namespace krakend::api {

/// The route parameter of that name, decoded; empty when the pattern has none.
std::string param(const http::Request& request, std::string_view name);
/// The route parameter {digest}; its error carries status 400.
Result<Digest> digest_param(const http::Request& request);
/// A boolean query parameter in the reference's spellings (contract http-api §1.4); false when absent or
/// empty. Its error carries status 500, as the reference answers.
Result<bool> bool_query(const http::Request& request, std::string_view name);

/// "OK\n"
http::Response ok_response();
/// An error answered with `status` whatever its code says.
http::Response error_with_status(int status, const Error& error);

/// A member coroutine as a handler. `self` outlives the server's use of the router.
template <class T>
http::Handler bind(T* self, Task<http::Response> (T::*method)(http::Request&)) {
  return [self, method](http::Request& request) { return (self->*method)(request); };
}

}  // namespace krakend::api
