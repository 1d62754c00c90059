#include "krakend/core/result.h"

#include <cerrno>

namespace krakend {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::invalid_argument:
      return "invalid argument";
    case Errc::not_found:
      return "not found";
    case Errc::already_exists:
      return "already exists";
    case Errc::conflict:
      return "conflict";
    case Errc::pending:
      return "pending";
    case Errc::too_large:
      return "too large";
    case Errc::no_space:
      return "no space";
    case Errc::io:
      return "i/o error";
    case Errc::network:
      return "network error";
    case Errc::timeout:
      return "timeout";
    case Errc::protocol:
      return "protocol error";
    case Errc::corrupt:
      return "corrupt";
    case Errc::unavailable:
      return "unavailable";
    case Errc::cancelled:
      return "cancelled";
    case Errc::internal:
      return "internal error";
  }
  return "unknown error";
}

Error errno_error(int err, std::string_view what) {
  Errc code = Errc::io;
  switch (err) {
    case ENOENT:
    case ENOTDIR:
      code = Errc::not_found;
      break;
    case EEXIST:
    case ENOTEMPTY:
      code = Errc::already_exists;
      break;
    case ENOSPC:
    case EDQUOT:
      code = Errc::no_space;
      break;
    case EINVAL:
    case ENAMETOOLONG:
      code = Errc::invalid_argument;
      break;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENETUNREACH:
    case EHOSTUNREACH:
      code = Errc::network;
      break;
    case ETIMEDOUT:
      code = Errc::timeout;
      break;
    case ECANCELED:
      code = Errc::cancelled;
      break;
    default:
      break;
  }
  return Error{code, fmt::format("{}: {}", what, std::generic_category().message(err))};
}

}  // namespace krakend
