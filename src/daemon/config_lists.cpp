#include "daemon/config_lists.h"

#include <fmt/format.h>

#include <cmath>

#include "daemon/config_table.h"
#include "daemon/suggest.h"

namespace krakend::daemon {
namespace {

/// The fields of a mapping inside a list, each with what reads it; other fields are errors.
using Fields = std::map<std::string, std::function<Result<void>(const YAML::Node&)>>;

Result<void> read_fields(const YAML::Node& node, std::string_view what, const Fields& fields) {
  if (!node.IsMap()) return fail_inside(node, fmt::format("{} must be a mapping", what));
  for (const auto& [key, value] : mapping_pairs(node)) {
    const std::string name = key.IsScalar() ? key.Scalar() : std::string();
    const auto field = fields.find(name);
    if (field == fields.end()) {
      std::vector<std::string> known;
      for (const auto& [word, read] : fields) known.push_back(word);
      const std::string meant = nearest(name, known);
      return fail_inside(key, fmt::format("unknown key \"{}\" in {}{}", name, what,
                                          meant.empty() ? "" : fmt::format("; did you mean \"{}\"?", meant)));
    }
    if (value.IsNull()) continue;
    if (Result<void> read = field->second(value); !read) return read;
  }
  return {};
}

auto into(std::string& target) {
  return [&target](const YAML::Node& node) -> Result<void> {
    Result<std::string> text = read_scalar(node, "a string");
    if (!text) return fail_inside(node, text.error().message);
    target = std::move(*text);
    return {};
  };
}

/// Plain scalars that look like numbers or booleans are those.
std::string scalar_json(const YAML::Node& node) {
  const Result<bool> boolean = read_boolean(node);
  if (boolean) return *boolean ? "true" : "false";
  const bool quoted = node.Tag() == "!";
  double number = 0;
  if (!quoted && YAML::convert<double>::decode(node, number) && std::isfinite(number))
    return fmt::format("{}", number);
  return json_text(node.Scalar());
}

Result<std::string> json_of(const YAML::Node& node, int depth) {
  constexpr int deepest = 8;
  if (depth > deepest) return fail_inside(node, "is nested too deep");
  if (node.IsNull()) return "null";
  if (node.IsScalar()) return scalar_json(node);
  std::string inner;
  for (const auto& item : node) {
    const YAML::Node& value = node.IsMap() ? item.second : item;
    Result<std::string> json = json_of(value, depth + 1);
    if (!json) return json;
    const std::string name = node.IsMap() ? json_text(item.first.Scalar()) + ":" : std::string();
    inner += (inner.empty() ? "" : ",") + name + *json;
  }
  return node.IsMap() ? "{" + inner + "}" : "[" + inner + "]";
}

Result<void> ignore(const YAML::Node&) {
  return {};
}

Result<void> read_file_backend(const YAML::Node& node, BackendConfig& config) {
  return read_fields(node, "file", {{"root", into(config.root)}, {"name_path", into(config.name_path)}});
}

Result<void> read_backend(const YAML::Node& node, BackendConfig& config) {
  const auto pairs = node.IsMap() ? mapping_pairs(node) : std::vector<std::pair<YAML::Node, YAML::Node>>();
  if (pairs.size() != 1) return fail_inside(node, "backend must name exactly one kind of backend");
  const auto& [key, value] = pairs.front();
  const std::string kind = key.IsScalar() ? key.Scalar() : std::string();
  if (kind != "file") {
    return fail_inside(
        key,
        fmt::format("backend \"{}\" is not supported yet; use file: {{root: DIR, name_path: ...}}", kind));
  }
  if (Result<void> read = read_file_backend(value, config); !read) return read;
  if (config.root.empty()) return fail_inside(key, "the file backend needs a root directory");
  return {};
}

class BackendsValue final : public ConfigValue {
 public:
  BackendsValue(std::vector<BackendConfig>& target, std::string name_path)
      : target_(target), default_(target), name_path_(std::move(name_path)) {}

  Result<void> read(const YAML::Node& node) override {
    if (!node.IsSequence()) return fail(Errc::invalid_argument, "expected a list of {{namespace, backend}}");
    std::vector<BackendConfig> read;
    for (const YAML::Node& item : node) {
      BackendConfig entry{"", "", name_path_, false};
      bool has_backend = false;
      const auto must_ready = [&entry](const YAML::Node& value) -> Result<void> {
        auto said = read_boolean(value);
        if (!said) return propagate(said);
        entry.must_ready = *said;
        return {};
      };
      const auto backend = [&](const YAML::Node& value) {
        has_backend = true;
        return read_backend(value, entry);
      };
      Result<void> fields = read_fields(item, "a backends entry",
                                        {{"namespace", into(entry.ns)},
                                         {"backend", backend},
                                         {"bandwidth", ignore},
                                         {"must_ready", must_ready}});
      if (!fields) return fields;
      if (!has_backend) return fail_inside(item, "the entry has no backend");
      read.push_back(std::move(entry));
    }
    target_ = read.empty() ? default_ : std::move(read);
    return {};
  }
  void reset() override { target_ = default_; }
  std::string text() const override {
    std::string all;
    for (const BackendConfig& entry : target_) {
      all += fmt::format("{}{{namespace: {}, backend: {{file: {{root: {}, name_path: {}}}}}}}",
                         all.empty() ? "" : ", ", yaml_scalar(entry.ns), yaml_scalar(entry.root),
                         yaml_scalar(entry.name_path));
    }
    return "[" + all + "]";
  }
  std::string type() const override { return "list of {namespace, backend}"; }

 private:
  std::vector<BackendConfig>& target_;
  const std::vector<BackendConfig> default_;
  const std::string name_path_;
};

class TagTypesValue final : public ConfigValue {
 public:
  explicit TagTypesValue(TagTypes& target) : target_(target), default_(target) {}

  Result<void> read(const YAML::Node& node) override {
    if (!node.IsSequence()) return fail(Errc::invalid_argument, "expected a list of {{namespace, type}}");
    TagTypes read;
    for (const YAML::Node& item : node) {
      std::string ns;
      std::string type;
      Result<void> fields = read_fields(item, "a tag_types entry",
                                        {{"namespace", into(ns)}, {"type", into(type)}, {"root", ignore}});
      if (!fields) return fields;
      if (type != "docker" && type != "default") {
        return fail_inside(item, fmt::format("type must be docker or default, found \"{}\"", type));
      }
      read.emplace_back(ns, type == "docker" ? build_index::TagType::docker : build_index::TagType::plain);
    }
    target_ = read.empty() ? default_ : std::move(read);
    return {};
  }
  void reset() override { target_ = default_; }
  std::string text() const override {
    std::string all;
    for (const auto& [ns, type] : target_) {
      all += fmt::format("{}{{namespace: {}, type: {}}}", all.empty() ? "" : ", ", yaml_scalar(ns),
                         type == build_index::TagType::docker ? "docker" : "default");
    }
    return "[" + all + "]";
  }
  std::string type() const override { return "list of {namespace, type}"; }

 private:
  TagTypes& target_;
  const TagTypes default_;
};

class RemotesValue final : public ConfigValue {
 public:
  explicit RemotesValue(build_index::Remotes& target) : target_(target) {}

  Result<void> read(const YAML::Node& node) override {
    if (!node.IsMap())
      return fail(Errc::invalid_argument, "expected a map of host:port to lists of patterns");
    for (const auto& [key, value] : mapping_pairs(node)) {
      if (!key.IsScalar()) return fail_inside(key, "the address must be host:port");
      Result<std::vector<std::string>> patterns = std::vector<std::string>();
      if (!value.IsNull()) patterns = read_strings(value);
      if (!patterns && !value.IsSequence()) return fail_inside(value, patterns.error().message);
      if (!patterns) return propagate(patterns);
      target_[key.Scalar()] = std::move(*patterns);
    }
    return {};
  }
  void reset() override { target_.clear(); }
  std::string text() const override {
    std::string all;
    for (const auto& [address, patterns] : target_)
      all += fmt::format("{}{}: {}", all.empty() ? "" : ", ", yaml_scalar(address), yaml_list(patterns));
    return "{" + all + "}";
  }
  std::string type() const override { return "map of address to list of patterns"; }

 private:
  build_index::Remotes& target_;
};

}  // namespace

ConfigValuePtr make_remotes_value(build_index::Remotes& target) {
  return std::make_unique<RemotesValue>(target);
}

ConfigValuePtr make_backends_value(std::vector<BackendConfig>& target, std::string default_name_path) {
  return std::make_unique<BackendsValue>(target, std::move(default_name_path));
}

ConfigValuePtr make_volumes_value(std::vector<storage::Volume>& target) {
  using List = std::vector<storage::Volume>;
  const auto read = [](const YAML::Node& node) -> Result<List> {
    if (!node.IsSequence()) return fail(Errc::invalid_argument, "expected a list of {{location, weight}}");
    List list;
    for (const YAML::Node& item : node) {
      storage::Volume volume;
      const auto weight = [&volume](const YAML::Node& value) -> Result<void> {
        constexpr uint64_t most = 1'000'000;
        Result<uint64_t> number = read_integer(value, most);
        if (!number) return fail_inside(value, number.error().message);
        volume.weight = static_cast<unsigned>(*number);
        return {};
      };
      Result<void> fields =
          read_fields(item, "a volume", {{"location", into(volume.location)}, {"weight", weight}});
      if (!fields) return propagate(fields);
      if (volume.location.empty() || volume.weight == 0)
        return fail_inside(item, "a volume needs a location and a weight of 1 or more");
      list.push_back(std::move(volume));
    }
    return list;
  };
  const auto write = [](const List& list) {
    std::string all;
    for (const storage::Volume& volume : list) {
      all += fmt::format("{}{{location: {}, weight: {}}}", all.empty() ? "" : ", ",
                         yaml_scalar(volume.location), volume.weight);
    }
    return "[" + all + "]";
  };
  return std::make_unique<PlainValue<List>>(target, "list of {location, weight}", read, write);
}

ConfigValuePtr make_paths_value(std::vector<std::string>& target) {
  using Paths = std::vector<std::string>;
  const auto read = [](const YAML::Node& node) -> Result<Paths> {
    if (!node.IsSequence()) return fail(Errc::invalid_argument, "expected a list of {{path: FILE}}");
    Paths paths;
    for (const YAML::Node& item : node) {
      std::string path;
      Result<void> fields = read_fields(item, "an entry", {{"path", into(path)}});
      if (!fields) return propagate(fields);
      if (path.empty()) return fail_inside(item, "the entry has no path");
      paths.push_back(std::move(path));
    }
    return paths;
  };
  const auto write = [](const Paths& paths) {
    std::string all;
    for (const std::string& path : paths)
      all += fmt::format("{}{{path: {}}}", all.empty() ? "" : ", ", yaml_scalar(path));
    return "[" + all + "]";
  };
  return std::make_unique<PlainValue<Paths>>(target, "list of {path}", read, write);
}

ConfigValuePtr make_tag_types_value(TagTypes& target) {
  return std::make_unique<TagTypesValue>(target);
}

ConfigValuePtr make_fields_value(std::vector<LogField>& target) {
  using Fields = std::vector<LogField>;
  const auto read = [](const YAML::Node& node) -> Result<Fields> {
    if (!node.IsMap()) return fail(Errc::invalid_argument, "expected a map of names to values");
    Fields fields;
    for (const auto& [key, value] : mapping_pairs(node)) {
      if (!key.IsScalar()) return propagate(Result<void>(fail_inside(key, "names must be words")));
      Result<std::string> json = json_of(value, 0);
      if (!json) return propagate(json);
      fields.push_back({key.Scalar(), std::move(*json)});
    }
    return fields;
  };
  // JSON is YAML in flow style.
  const auto write = [](const Fields& fields) {
    std::string all;
    for (const LogField& field : fields)
      all += fmt::format("{}{}: {}", all.empty() ? "" : ", ", yaml_scalar(field.key), field.json);
    return "{" + all + "}";
  };
  return std::make_unique<PlainValue<Fields>>(target, "map of name to value", read, write);
}

ConfigValuePtr make_address_ranges_value(std::vector<io::AddressRange>& target) {
  using Ranges = std::vector<io::AddressRange>;
  const auto read = [](const YAML::Node& node) -> Result<Ranges> {
    Result<std::vector<std::string>> texts = read_strings(node);
    if (!texts) return propagate(texts);
    Ranges ranges;
    for (const std::string& text : *texts) {
      Result<io::AddressRange> range = io::AddressRange::parse(text);
      if (!range) return propagate(range);
      ranges.push_back(std::move(*range));
    }
    return ranges;
  };
  const auto write = [](const Ranges& ranges) {
    std::vector<std::string> texts;
    for (const io::AddressRange& range : ranges) texts.push_back(range.text());
    return yaml_list(texts);
  };
  return std::make_unique<PlainValue<Ranges>>(target, "list of address blocks", read, write);
}

}  // namespace krakend::daemon
