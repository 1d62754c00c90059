#include "roles/proxy/notification.h"

#include <cctype>
#include <utility>

#include "roles/proxy/json_body.h"

namespace krakend::proxy {
namespace {

using Json = nlohmann::json;

/// Whether `text` is of the form, in which 'd' stands for any digit.
bool has_form(std::string_view text, std::string_view form) {
  if (text.size() != form.size()) return false;
  for (size_t i = 0; i < form.size(); ++i) {
    const bool fits = form[i] == 'd' ? std::isdigit(static_cast<unsigned char>(text[i])) != 0
                                     : std::toupper(static_cast<unsigned char>(text[i])) == form[i];
    if (!fits) return false;
  }
  return true;
}

/// Of text that begins with two digits.
int two_digits(std::string_view text) {
  return (text[0] - '0') * 10 + (text[1] - '0');
}

bool within(std::string_view text, int least, int most) {
  const int value = two_digits(text);
  return value >= least && value <= most;
}

Result<void> check_timestamp(const Json& event, size_t index) {
  auto timestamp = json_text(event, "timestamp");
  if (!timestamp) return propagate(timestamp);
  if (json_member(event, "timestamp") == nullptr || is_rfc3339(*timestamp)) return {};
  return fail(Errc::invalid_argument, "timestamp of event {}: \"{}\" is not as in RFC 3339", index,
              *timestamp);
}

/// Adds the event's manifest, if it is one that counts.
Result<void> add_event(const Json& event, size_t index, std::vector<PushedManifest>& out) {
  if (!event.is_object()) return fail(Errc::invalid_argument, "event {} is no object", index);
  if (auto checked = check_timestamp(event, index); !checked) return checked;
  const Json* target = json_member(event, "target");
  if (target == nullptr || !target->is_object())
    return fail(Errc::invalid_argument, "event {} has no target", index);
  auto action = json_text(event, "action");
  auto media_type = json_text(*target, "mediaType");
  auto repository = json_text(*target, "repository");
  auto digest = json_text(*target, "digest");
  for (auto* text : {&action, &media_type, &repository, &digest}) {
    if (!*text) return fail(Errc::invalid_argument, "event {}: {}", index, text->error().message);
  }
  if (*action == "push" && is_image_manifest(*media_type))
    out.push_back({std::move(*repository), std::move(*digest)});
  return {};
}

}  // namespace

bool is_rfc3339(std::string_view text) {
  constexpr std::string_view date = "dddd-dd-ddTdd:dd:dd";
  if (!has_form(text.substr(0, date.size()), date)) return false;
  if (!within(text.substr(5), 1, 12) || !within(text.substr(8), 1, 31) || !within(text.substr(11), 0, 23) ||
      !within(text.substr(14), 0, 59) || !within(text.substr(17), 0, 59))
    return false;
  std::string_view zone = text.substr(date.size());
  if (zone.starts_with('.')) {
    const size_t digits = zone.find_first_not_of("0123456789", 1);
    if (digits == 1 || digits == std::string_view::npos) return false;
    zone.remove_prefix(digits);
  }
  if (zone == "Z" || zone == "z") return true;
  return (has_form(zone, "+dd:dd") || has_form(zone, "-dd:dd")) && within(zone.substr(1), 0, 24) &&
         within(zone.substr(4), 0, 59);
}

bool is_image_manifest(std::string_view media_type) {
  constexpr std::string_view docker = "application/vnd.docker.distribution.manifest.v";
  if (media_type.starts_with("application/vnd.oci.image.manifest.v1+json")) return true;
  if (!media_type.starts_with(docker)) return false;
  media_type.remove_prefix(docker.size());
  if (media_type.empty() || std::isdigit(static_cast<unsigned char>(media_type.front())) == 0) return false;
  media_type.remove_prefix(1);
  return media_type.starts_with("+json") || media_type.starts_with("+prettyjws");
}

Result<std::vector<PushedManifest>> pushed_manifests(const std::string& body) {
  auto document = first_json(body);
  if (!document) return propagate(document);
  if (!document->is_object() && !document->is_null())
    return fail(Errc::invalid_argument, "the body is no JSON object with \"events\"");
  std::vector<PushedManifest> out;
  const Json* events = json_member(*document, "events");
  if (events == nullptr) return out;
  if (!events->is_array()) return fail(Errc::invalid_argument, "\"events\" is no array");
  for (size_t i = 0; i < events->size(); ++i) {
    if (auto added = add_event((*events)[i], i, out); !added) return propagate(added);
  }
  return out;
}

}  // namespace krakend::proxy
