#include "http/head_parser.h"

#include <httplib.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "http/field.h"
#include "krakend/core/units.h"

namespace krakend::http {
namespace {

constexpr std::string_view crlf = "\r\n";
/// Limit on the path of a request, in bytes; the parser of the request line has the same one.
constexpr size_t max_path = 8 * KiB;

/// What the parser reads from: the line, then nothing. What it writes is thrown away. The set of functions to
/// override differs between versions of the library, hence no `override`.
class MemoryStream final : public httplib::Stream {
 public:
  explicit MemoryStream(std::string_view text) : text_(text) {}
  bool is_readable() const { return true; }
  bool wait_readable() const { return true; }
  bool is_writable() const { return true; }
  bool wait_writable() const { return true; }
  ssize_t read(char* out, size_t size) {
    const auto part = text_.substr(0, size);
    std::copy(part.begin(), part.end(), out);
    text_.remove_prefix(part.size());
    return static_cast<ssize_t>(part.size());
  }
  ssize_t write(const char* /*data*/, size_t size) { return static_cast<ssize_t>(size); }
  void get_remote_ip_and_port(std::string& /*ip*/, int& /*port*/) const {}
  void get_local_ip_and_port(std::string& /*ip*/, int& /*port*/) const {}
  socket_t socket() const { return -1; }
  time_t duration() const { return 0; }

 private:
  std::string_view text_;
};

tl::unexpected<HeadError> refuse(int status, std::string text) {
  return tl::unexpected<HeadError>(HeadError{status, std::move(text)});
}

/// The text before the next line end, which is removed too.
std::string_view take_line(std::string_view& text) {
  const auto end = text.find(crlf);
  const auto line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + crlf.size());
  return line;
}

struct RequestLine {
  std::string_view method;
  std::string_view target;
  std::string_view version;
};

std::optional<RequestLine> split_line(std::string_view line) {
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || last == first) return std::nullopt;
  RequestLine parts{line.substr(0, first), line.substr(first + 1, last - first - 1), line.substr(last + 1)};
  const bool printable = std::none_of(parts.target.begin(), parts.target.end(),
                                      [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '#'; });
  return printable ? std::optional(parts) : std::nullopt;
}

/// "http://host/path" is as good as "/path".
std::string_view without_authority(std::string_view target) {
  constexpr std::string_view scheme = "http://";
  if (!target.starts_with(scheme)) return target;
  const auto path = target.find('/', scheme.size());
  return path == std::string_view::npos ? "/" : target.substr(path);
}

/// One "name: value" line after the other. Folded lines, blanks before the colon and control characters have
/// no business in a head.
tl::expected<void, HeadError> read_fields(std::string_view text, Headers& headers) {
  while (true) {
    const auto line = take_line(text);
    if (line.empty()) return {};
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
      return refuse(400, "malformed header field");
    }
    const auto value = trim(line.substr(colon + 1));
    if (!is_field_value(value)) return refuse(400, "forbidden character in a header field");
    headers.add(std::string(line.substr(0, colon)), std::string(value));
  }
}

size_t count(const Headers& headers, std::string_view name) {
  return static_cast<size_t>(
      std::count_if(headers.fields().begin(), headers.fields().end(),
                    [name](const auto& field) { return equal_ignoring_case(field.first, name); }));
}

/// The framing of the body; ambiguous ones are refused.
tl::expected<void, HeadError> read_framing(std::string_view version, ParsedHead& head) {
  const auto& headers = head.request.headers;
  const auto lengths = count(headers, "Content-Length");
  if (headers.has("Transfer-Encoding")) {
    if (lengths > 0) return refuse(400, "both Content-Length and Transfer-Encoding");
    if (version == "HTTP/1.0") return refuse(400, "Transfer-Encoding in an HTTP/1.0 request");
    if (!equal_ignoring_case(headers.joined("Transfer-Encoding"), "chunked")) {
      return refuse(501, "unsupported Transfer-Encoding");
    }
    head.chunked = true;
    return {};
  }
  if (lengths > 1) return refuse(400, "more than one Content-Length");
  if (lengths == 0) return {};
  const auto text = headers.get("Content-Length");
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), head.content_length);
  if (error != std::errc{} || end != text.data() + text.size()) return refuse(400, "bad Content-Length");
  return {};
}

}  // namespace

class HeadParser::LineParser : public httplib::Server {
 public:
  LineParser() {
    set_pre_routing_handler([this](const httplib::Request&, httplib::Response&) {
      accepted_ = true;
      return HandlerResponse::Handled;
    });
  }

  bool accepts(const RequestLine& line, std::string_view path) {
    accepted_ = false;
    const auto text = fmt::format("{} {} {}\r\n\r\n", line.method, path, line.version);
    MemoryStream stream(text);
    bool closed = false;
    run(*this, stream, closed);
    return accepted_;
  }

 private:
  /// The parameters of process_request have grown over the versions.
  template <class Self>
  static void run(Self& self, httplib::Stream& stream, bool& closed) {
    if constexpr (requires { self.process_request(stream, false, closed, nullptr); }) {
      self.process_request(stream, false, closed, nullptr);
    } else {
      self.process_request(stream, std::string(), 0, std::string(), 0, false, closed, nullptr);
    }
  }

  bool accepted_ = false;
};

HeadParser::HeadParser() : lines_(std::make_unique<LineParser>()) {}
HeadParser::~HeadParser() = default;

tl::expected<ParsedHead, HeadError> HeadParser::parse(std::string_view text) {
  const auto line = split_line(take_line(text));
  if (!line) return refuse(400, "malformed request line");
  const auto target = without_authority(line->target);
  if (!target.starts_with('/')) return refuse(400, "request target is not a path");
  const auto question = std::min(target.find('?'), target.size());
  const auto path = target.substr(0, question);
  if (path.size() > max_path) return refuse(414, fmt::format("path exceeds {} bytes", max_path));
  if (!lines_->accepts(*line, path)) return refuse(400, "malformed request line");
  ParsedHead head;
  head.request.method = line->method;
  head.request.target = target;
  head.request.path = path;
  head.request.query = target.substr(std::min(question + 1, target.size()));
  const auto& headers = head.request.headers;
  if (auto read = read_fields(text, head.request.headers); !read) return tl::unexpected(read.error());
  if (auto read = read_framing(line->version, head); !read) return tl::unexpected(read.error());
  if (count(headers, "Host") > 1) return refuse(400, "more than one Host");
  const bool old = line->version == "HTTP/1.0";
  const auto connection = headers.joined("Connection");
  head.keep_alive = old ? has_list_item(connection, "keep-alive") : !has_list_item(connection, "close");
  head.expects_continue = !old && has_list_item(headers.joined("Expect"), "100-continue");
  return head;
}

}  // namespace krakend::http
