#include <nlohmann/json.hpp>

#include "daemon/config_reference.h"

namespace krakend::daemon {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* dialect = "https://json-schema.org/draft/2020-12/schema";

/// Null resets any key.
Json or_null(std::initializer_list<const char*> types) {
  Json all = Json::array({"null"});
  for (const char* type : types) all.push_back(type);
  return all;
}

/// One of a few words, in any case of letters.
Json words_pattern(const std::string& words) {
  std::string pattern = "^(";
  for (size_t begin = 0; begin < words.size();) {
    const size_t end = std::min(words.find(" | ", begin), words.size());
    if (begin > 0) pattern += '|';
    for (const char c : words.substr(begin, end - begin)) {
      const bool letter = c >= 'a' && c <= 'z';
      pattern += letter ? fmt::format("[{}{}]", c, static_cast<char>(c - 'a' + 'A')) : std::string(1, c);
    }
    begin = end + 3;
  }
  return pattern + ")?$";
}

/// What a value may be, by the kind that its ConfigValue names.
Json value_schema(const std::string& type) {
  Json schema;
  const bool words = type.find(" | ") != std::string::npos;
  if (type == "boolean") {
    schema["type"] = or_null({"boolean", "string"});
    schema["pattern"] = "^([yYnN]|[yY]es|YES|[nN]o|NO|[oO]n|ON|[oO]ff|OFF|[tT]rue|TRUE|[fF]alse|FALSE)$";
  } else if (type == "integer") {
    schema["type"] = or_null({"number", "string"});
    schema["minimum"] = 0;
    schema["pattern"] = "^[0-9][0-9a-fA-FxXoO_.]*$";
  } else if (type == "number") {
    schema["type"] = or_null({"number"});
  } else if (type == "duration") {
    schema["type"] = or_null({"number", "string"});
    schema["pattern"] = "^[+]?([0-9]+[.]?[0-9]*(ns|us|µs|ms|s|m|h)?)+$";
  } else if (type == "size") {
    schema["type"] = or_null({"integer", "string"});
    schema["pattern"] = "^[0-9]+ *([a-zA-Z]+)?$";
  } else if (type == "string") {
    schema["type"] = or_null({"string", "number", "boolean"});
  } else if (type.starts_with("list of")) {
    schema["type"] = or_null({"array"});
  } else if (type.starts_with("map of")) {
    schema["type"] = or_null({"object"});
  } else if (words) {
    schema["type"] = or_null({"string"});
    schema["pattern"] = words_pattern(type);
  }
  return schema;
}

Json key_schema(const ConfigKey& key) {
  Json schema = key.use == KeyUse::bound ? value_schema(key.type) : Json::object();
  std::string text = key.meaning;
  if (!key.unit.empty()) text += fmt::format(" ({})", key.unit);
  if (key.use == KeyUse::accepted) text = "accepted without effect: " + text;
  if (key.use == KeyUse::refused) text = "not supported: " + text;
  schema["description"] = text;
  if (key.use == KeyUse::bound) schema["x-default"] = key.default_value;
  return schema;
}

Json block() {
  Json schema;
  schema["type"] = or_null({"object"});
  schema["additionalProperties"] = false;
  schema["properties"]["extends"] = {{"type", "string"}, {"description", "parent file"}};
  return schema;
}

void insert(Json& root, const ConfigKey& key) {
  Json* at = &root;
  size_t begin = 0;
  for (size_t dot = key.path.find('.'); dot != std::string::npos; dot = key.path.find('.', begin)) {
    Json& child = (*at)["properties"][key.path.substr(begin, dot - begin)];
    if (child.is_null()) {
      child["type"] = or_null({"object"});
      child["additionalProperties"] = false;
      child["properties"] = Json::object();
    }
    at = &child;
    begin = dot + 1;
  }
  Json& place = (*at)["properties"][key.path.substr(begin)];
  Json schema = key_schema(key);
  // A block of which some keys are known and anything else is taken.
  if (place.contains("properties")) schema["properties"] = place["properties"];
  place = std::move(schema);
}

Json role_schema(const Component& component) {
  Json root = block();
  for (const ConfigKey& key : component.table.keys()) insert(root, key);
  return root;
}

}  // namespace

std::string config_schema(const Options& options) {
  const Config config = default_config(options);
  const std::vector<Component*> components = config.components();
  Json schema;
  if (components.size() == 1) {
    schema = role_schema(*components.front());
  } else {
    schema = block();
    for (const Component* component : components)
      schema["properties"][std::string(to_string(component->role))] = role_schema(*component);
  }
  schema["$schema"] = dialect;
  return schema.dump(2) + "\n";
}

}  // namespace krakend::daemon
