#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <system_error>
#include <tl/expected.hpp>
#include <utility>

namespace krakend {

/// What kind of failure it was; decides the HTTP status and whether a caller tries elsewhere.
enum class Errc {
  invalid_argument,  ///< malformed input of the caller
  not_found,
  already_exists,
  conflict,     ///< the state of the thing forbids the operation (e.g. a blob not yet written back)
  pending,      ///< being fetched in the background, ask again
  too_large,    ///< a named limit was exceeded
  no_space,     ///< disk full
  io,           ///< disk or OS failure
  network,      ///< no answer: refused, reset, closed
  timeout,      ///< no answer in time
  protocol,     ///< the other side broke its protocol
  corrupt,      ///< bytes do not match their checksum or digest
  unavailable,  ///< temporarily unable: full, shutting down
  cancelled,
  internal,
};

std::string_view to_string(Errc code);

/// An expected failure as a value: what was tried, on what, and why it failed. The message is one line
/// without a trailing newline, written for the operator who reads the log.
struct Error {
  Errc code = Errc::internal;
  std::string message;
  /// Status of the HTTP answer that caused this error; 0 when there was none.
  int http_status = 0;
};

template <class T = void>
using Result = tl::expected<T, Error>;

template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(Errc code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

/// Passes the failure of `result` on to the caller's caller.
template <class T>
[[nodiscard]] tl::unexpected<Error> propagate(Result<T>&& result) {
  return tl::unexpected<Error>(std::move(result.error()));
}
template <class T>
[[nodiscard]] tl::unexpected<Error> propagate(Result<T>& result) {
  return tl::unexpected<Error>(std::move(result.error()));
}

/// errno as an error of the operation `what` ("open /a/b"). ENOENT, EEXIST, ENOSPC, EDQUOT get their own
/// codes.
[[nodiscard]] Error errno_error(int err, std::string_view what);

}  // namespace krakend
