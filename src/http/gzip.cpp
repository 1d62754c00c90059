#include "http/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>

#include "http/field.h"

namespace krakend::http {
namespace {

constexpr size_t smallest = 20;  // bytes
/// As nginx: the fastest that is still worth it.
constexpr int level = 1;
constexpr int window_bits_gzip = 15 + 16;  // the largest window, in the framing of gzip
constexpr int memory_level = 8;

/// "gzip" without ";q=0".
bool takes_gzip(std::string_view list) {
  while (!list.empty()) {
    const auto item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), item.size() + 1));
    const auto semicolon = std::min(item.find(';'), item.size());
    const auto name = trim(item.substr(0, semicolon));
    if (!equal_ignoring_case(name, "gzip") && name != "*") continue;
    const auto weight = trim(item.substr(std::min(item.size(), semicolon + 1)));
    return weight.find_first_not_of("q=0. ") != std::string_view::npos || weight.empty();
  }
  return false;
}

bool is_text(std::string_view type) {
  constexpr std::array<std::string_view, 3> types{"text/html", "text/plain", "application/json"};
  type = trim(type.substr(0, type.find(';')));
  return std::find(types.begin(), types.end(), type) != types.end();
}

}  // namespace

bool worth_compressing(const Request& request, const Response& response) {
  constexpr std::array<int, 3> statuses{200, 403, 404};
  const auto* text = std::get_if<std::string>(&response.body);
  return text != nullptr && text->size() >= smallest && request.method != "HEAD" &&
         std::find(statuses.begin(), statuses.end(), response.status) != statuses.end() &&
         is_text(response.headers.get("Content-Type")) && !response.headers.has("Content-Encoding") &&
         !request.headers.has("Via") && takes_gzip(request.headers.joined("Accept-Encoding"));
}

Result<std::string> gzip(std::string_view text) {
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, window_bits_gzip, memory_level, Z_DEFAULT_STRATEGY) != Z_OK)
    return fail(Errc::internal, "zlib: no memory");
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const int ended = deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  if (ended != Z_STREAM_END) return fail(Errc::internal, "zlib: error {}", ended);
  return packed;
}

}  // namespace krakend::http
