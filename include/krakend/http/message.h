#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "krakend/core/result.h"
#include "krakend/io/content.h"
#include "krakend/io/net.h"
#include "krakend/io/task.h"

namespace krakend::http {

/// Header fields in order of arrival; names compare without regard to case.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}
  void add(std::string name, std::string value);
  /// Replaces every field of that name.
  void set(std::string_view name, std::string value);
  /// The first field of that name; empty when absent.
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const;
  /// All fields of that name as one comma list: clients send Accept as several lines or as one.
  std::string joined(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

/// The body of a request while it arrives. Loop thread; read at most once. What a handler leaves unread is
/// drained (a little) or the connection is closed.
class RequestBody {
 public:
  virtual ~RequestBody() = default;
  /// Content-Length; nullopt for a chunked body; 0 when there is none.
  virtual std::optional<uint64_t> length() const = 0;
  /// Feeds the rest of the body into `sink` (on the pool). Returns the bytes fed. too_large when it exceeds
  /// `limit`; network when it ends early: what arrived before that has reached the sink.
  virtual Task<Result<uint64_t>> read_to(io::ByteSink& sink, uint64_t limit) = 0;

  /// The whole body as text.
  Task<Result<std::string>> text(uint64_t limit);
};

struct Request {
  std::string method;
  std::string target;  ///< as received: path and query
  std::string path;    ///< as received, still escaped, without query
  std::string query;   ///< as received, without '?'
  Headers headers;
  io::Address peer;
  io::Address local;
  bool secured = false;                                    ///< came over TLS
  RequestBody* body = nullptr;                             ///< never null inside a handler
  std::map<std::string, std::string, std::less<>> params;  ///< from the route pattern, decoded

  /// Decoded value of a query parameter; the first when repeated.
  std::optional<std::string> query_param(std::string_view name) const;
};

/// `length` bytes of `content` from `offset` on; they may still be arriving while they are sent.
struct ContentRange {
  io::ContentPtr content;
  uint64_t offset = 0;
  uint64_t length = 0;
};
using Body = std::variant<std::monostate, std::string, ContentRange>;

struct Response {
  int status = 200;
  Headers headers;
  Body body;
  /// Close the connection after this response.
  bool close = false;
  /// Content-Length to announce when there is no body to take it from (HEAD of something that is not opened).
  std::optional<uint64_t> content_length;
  /// Where set, the head of a ContentRange waits for its first byte; when that cannot come, this answers
  /// instead.
  std::function<Response(const Error&)> unless_ready = {};
};

/// Plain text (text/plain; charset=utf-8); an empty text has no Content-Type (contract http-api §1.5).
Response text_response(int status, std::string text = {});
Response json_response(int status, std::string json);
/// Status that fits an error of a native (non-registry) endpoint: its own http_status if it has one, else by
/// code.
int status_for(const Error& error);
Response error_response(const Error& error);

}  // namespace krakend::http
