#include "registry/public_url.h"

#include <algorithm>
#include <string_view>

namespace krakend::registry {

namespace {

constexpr std::string_view letters_and_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// The first of the values that the hops of a chain have added, which is what the client saw.
std::string_view first_value(std::string_view list) {
  return trim(list.substr(0, list.find(',')));
}

bool consists_of(std::string_view text, std::string_view others) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return letters_and_digits.find(c) != std::string_view::npos || others.find(c) != std::string_view::npos;
  });
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

struct Forwarded {
  std::string proto;
  std::string host;
  std::string prefix;
};

/// The first element of a Forwarded header: `for=192.0.2.60;proto=https;host="registry.example:8443"`.
void read_forwarded(std::string_view header, Forwarded& out) {
  std::string_view element = first_value(header);
  while (!element.empty()) {
    const size_t end = std::min(element.find(';'), element.size());
    const std::string_view pair = trim(element.substr(0, end));
    element.remove_prefix(std::min(end + 1, element.size()));
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    std::string_view value = pair.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    const std::string name = lower(pair.substr(0, equals));
    if (name == "proto") out.proto = lower(value);
    if (name == "host") out.host = value;
  }
}

Forwarded read_headers(const http::Headers& headers) {
  Forwarded out;
  read_forwarded(headers.get("Forwarded"), out);
  if (const auto proto = first_value(headers.get("X-Forwarded-Proto")); !proto.empty())
    out.proto = lower(proto);
  if (const auto host = first_value(headers.get("X-Forwarded-Host")); !host.empty()) out.host = host;
  out.prefix = first_value(headers.get("X-Forwarded-Prefix"));
  // A value that could mean something else in a URL is as good as none.
  if (out.proto != "http" && out.proto != "https") out.proto.clear();
  if (!consists_of(out.host, "-._:[]")) out.host.clear();
  while (out.prefix.ends_with('/')) out.prefix.pop_back();
  const bool path = out.prefix.starts_with('/') && !out.prefix.starts_with("//");
  if (!path || !consists_of(out.prefix, "/-._~%")) out.prefix.clear();
  return out;
}

}  // namespace

bool PublicUrl::is_trusted(const io::Address& peer) const {
  return std::any_of(trusted_.begin(), trusted_.end(),
                     [&](const io::AddressRange& range) { return range.contains(peer.host); });
}

std::string PublicUrl::base(const http::Request& request) const {
  if (trusted_.empty() || !is_trusted(request.peer)) return {};
  Forwarded forwarded = read_headers(request.headers);
  if (forwarded.proto.empty() && forwarded.host.empty()) return forwarded.prefix;
  if (forwarded.host.empty()) forwarded.host = request.headers.get("Host");
  if (forwarded.host.empty() || !consists_of(forwarded.host, "-._:[]")) return forwarded.prefix;
  if (forwarded.proto.empty()) forwarded.proto = request.secured ? "https" : "http";
  return forwarded.proto + "://" + forwarded.host + forwarded.prefix;
}

void PublicUrl::apply(const http::Request& request, http::Response& response) const {
  constexpr std::string_view root = "/v2/";
  const std::string location(response.headers.get("Location"));
  const std::string link(response.headers.get("Link"));
  const bool moved = location.starts_with(root);
  const bool linked = link.starts_with('<') && link.substr(1).starts_with(root);
  if (!moved && !linked) return;
  const std::string before = base(request);
  if (before.empty()) return;
  if (moved) response.headers.set("Location", before + location);
  if (linked) response.headers.set("Link", "<" + before + link.substr(1));
}

}  // namespace krakend::registry
