#include "http/head_parser.h"

#include <httplib.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace krakend::http {
namespace {

/// What the parser reads from: the head, then nothing. What it writes is thrown away. The set of functions to
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

bool contains_token(std::string_view list, std::string_view token) {
  std::string lower(list);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  size_t start = 0;
  while (start <= lower.size()) {
    const auto end = std::min(lower.find(',', start), lower.size());
    auto item = std::string_view(lower).substr(start, end - start);
    while (item.starts_with(' ') || item.starts_with('\t')) item.remove_prefix(1);
    while (item.ends_with(' ') || item.ends_with('\t')) item.remove_suffix(1);
    if (item == token) return true;
    start = end + 1;
  }
  return false;
}

tl::unexpected<HeadError> refuse(int status, std::string text) {
  return tl::unexpected<HeadError>(HeadError{status, std::move(text)});
}

/// The framing of the body; ambiguous ones are refused.
tl::expected<void, HeadError> read_framing(const httplib::Request& parsed, ParsedHead& head) {
  const auto lengths = parsed.headers.equal_range("Content-Length");
  const bool has_length = lengths.first != lengths.second;
  if (parsed.has_header("Transfer-Encoding")) {
    if (has_length) return refuse(400, "both Content-Length and Transfer-Encoding");
    if (parsed.get_header_value_count("Transfer-Encoding") != 1 ||
        !contains_token(parsed.get_header_value("Transfer-Encoding"), "chunked") ||
        parsed.get_header_value("Transfer-Encoding").find(',') != std::string::npos) {
      return refuse(501, "unsupported Transfer-Encoding");
    }
    head.chunked = true;
    return {};
  }
  for (auto it = lengths.first; it != lengths.second; ++it) {
    uint64_t value = 0;
    const auto& text = it->second;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || result.ec != std::errc{} || result.ptr != text.data() + text.size()) {
      return refuse(400, "bad Content-Length");
    }
    if (it != lengths.first && value != head.content_length)
      return refuse(400, "contradicting Content-Length");
    head.content_length = value;
  }
  return {};
}

/// Control characters and folded lines have no business in a head.
bool has_forbidden_bytes(std::string_view head) {
  for (size_t i = 0; i < head.size(); ++i) {
    const char c = head[i];
    if (c == '\0') return true;
    if (c == '\n' && i + 1 < head.size() && (head[i + 1] == ' ' || head[i + 1] == '\t')) return true;
    if (c == '\r' && (i + 1 >= head.size() || head[i + 1] != '\n')) return true;
  }
  return false;
}

}  // namespace

class HeadParser::Parser : public httplib::Server {
 public:
  Parser() {
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response&) {
      captured_ = request;
      return HandlerResponse::Handled;
    });
  }

  std::optional<httplib::Request> parse(std::string_view head) {
    captured_.reset();
    MemoryStream stream(head);
    bool closed = false;
    run(*this, stream, closed);
    return std::move(captured_);
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

  std::optional<httplib::Request> captured_;
};

HeadParser::HeadParser() : parser_(std::make_unique<Parser>()) {}
HeadParser::~HeadParser() = default;

tl::expected<ParsedHead, HeadError> HeadParser::parse(std::string_view text) {
  if (has_forbidden_bytes(text)) return refuse(400, "malformed request head");
  auto parsed = parser_->parse(text);
  if (!parsed) return refuse(400, "malformed request head");
  ParsedHead head;
  if (auto framing = read_framing(*parsed, head); !framing) return tl::unexpected(framing.error());
  head.request.method = parsed->method;
  head.request.target = parsed->target;
  if (!head.request.target.starts_with('/')) return refuse(400, "request target is not a path");
  const auto question = std::min(head.request.target.find('?'), head.request.target.size());
  head.request.path = head.request.target.substr(0, question);
  head.request.query = head.request.target.substr(std::min(question + 1, head.request.target.size()));
  const auto connection = parsed->get_header_value("Connection");
  head.keep_alive = parsed->version == "HTTP/1.0" ? contains_token(connection, "keep-alive")
                                                  : !contains_token(connection, "close");
  head.expects_continue = contains_token(parsed->get_header_value("Expect"), "100-continue");
  for (auto& [name, value] : parsed->headers) {
    if (name != "REMOTE_ADDR" && name != "REMOTE_PORT" && name != "LOCAL_ADDR" && name != "LOCAL_PORT") {
      head.request.headers.add(name, value);
    }
  }
  return head;
}

}  // namespace krakend::http
