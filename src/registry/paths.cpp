#include "registry/paths.h"

#include <utility>
#include <vector>

#include "krakend/core/units.h"
#include "krakend/core/url.h"

namespace krakend::registry {

namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

ParsedPath invalid(std::string_view error_code, std::string message, std::string detail) {
  ParsedPath parsed;
  parsed.found = true;
  parsed.error = ErrorEntry{error_code, std::move(message), std::move(detail)};
  return parsed;
}

ParsedPath found(Endpoint endpoint) {
  ParsedPath parsed;
  parsed.found = true;
  parsed.target.endpoint = endpoint;
  return parsed;
}

ParsedPath parse_digest(Endpoint endpoint, std::string_view text) {
  auto digest = ContentDigest::parse(text);
  if (!digest) return invalid(code::digest_invalid, digest.error().message, json_detail("digest", text));
  ParsedPath parsed = found(endpoint);
  parsed.target.digest = digest->sha256();
  parsed.target.named = std::move(*digest);
  return parsed;
}

/// A tag never contains ':', a digest always does.
ParsedPath parse_reference(std::string_view reference) {
  if (reference.find(':') != std::string_view::npos) return parse_digest(Endpoint::manifest, reference);
  if (!valid_tag(reference)) {
    return invalid(
        code::tag_invalid,
        fmt::format("tag \"{}\" is not valid: 1 to 128 of A-Z a-z 0-9 _ . -, not beginning with . or -",
                    reference),
        json_detail("tag", reference));
  }
  ParsedPath parsed = found(Endpoint::manifest);
  parsed.target.tag = reference;
  return parsed;
}

/// The endpoint that the last segments name, and in `name_segments` how many segments before them are the
/// name.
ParsedPath parse_tail(const std::vector<std::string_view>& segments, size_t& name_segments) {
  const size_t n = segments.size();
  const auto at = [&](size_t from_end) {
    return from_end <= n ? segments[n - from_end] : std::string_view();
  };
  if (at(2) == "tags" && at(1) == "list") {
    name_segments = n - 2;
    return found(Endpoint::tags);
  }
  if (at(2) == "manifests" && !at(1).empty()) {
    name_segments = n - 2;
    return parse_reference(at(1));
  }
  if (at(2) == "referrers" && !at(1).empty()) {
    name_segments = n - 2;
    return parse_digest(Endpoint::referrers, at(1));
  }
  if (at(3) == "blobs" && at(2) == "uploads") {
    name_segments = n - 3;
    ParsedPath parsed = found(at(1).empty() ? Endpoint::upload_start : Endpoint::upload);
    parsed.target.upload = at(1);
    return parsed;
  }
  if (at(2) == "blobs" && !at(1).empty()) {
    name_segments = n - 2;
    return at(1) == "uploads" ? found(Endpoint::upload_start) : parse_digest(Endpoint::blob, at(1));
  }
  return {};
}

std::string join_name(const std::vector<std::string_view>& segments, size_t count) {
  std::string name;
  for (size_t i = 0; i < count; ++i) {
    if (i != 0) name += '/';
    name += segments[i];
  }
  return name;
}

}  // namespace

ParsedPath parse_path(std::string_view escaped) {
  const auto decoded = path_unescape(escaped);
  if (!decoded)
    return invalid(code::name_invalid, "the path contains a broken %-escape", json_detail("path", escaped));
  std::string_view path = *decoded;
  if (path.empty() || path == "/") return found(Endpoint::root);
  if (path == "/v2" || path == "/v2/") return found(Endpoint::base);
  constexpr std::string_view prefix = "/v2/";
  if (!path.starts_with(prefix)) return {};
  path.remove_prefix(prefix.size());
  if (path == "_catalog") return found(Endpoint::catalog);

  const auto segments = split(path, '/');
  size_t name_segments = 0;
  ParsedPath parsed = parse_tail(segments, name_segments);
  if (!parsed.found) return parsed;
  std::string name = join_name(segments, name_segments);
  if (!valid_repository(name)) {
    return invalid(
        code::name_invalid,
        fmt::format("repository name \"{}\" is not valid: lower-case letters and digits in components "
                    "joined by . _ - and separated by /, at most 255 characters",
                    name),
        json_detail("name", name));
  }
  parsed.target.name = std::move(name);
  return parsed;
}

}  // namespace krakend::registry
