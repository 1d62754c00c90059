#include "daemon/config_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "krakend/core/units.h"

namespace krakend::daemon {
namespace {

constexpr std::array yes_words{"y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"};
constexpr std::array no_words{"n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"};

bool is_boolean_word(std::string_view text) {
  return std::find(yes_words.begin(), yes_words.end(), text) != yes_words.end() ||
         std::find(no_words.begin(), no_words.end(), text) != no_words.end();
}

std::string_view kind_of(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Map:
      return "a mapping";
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Scalar:
      return "a scalar";
    default:
      return "nothing";
  }
}

std::optional<uint64_t> parse_digits(std::string_view digits, int base) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty()) return std::nullopt;
  return value;
}

std::optional<uint64_t> parse_integer(std::string text) {
  std::erase(text, '_');
  const std::string_view view = text;
  if (view.starts_with("0x") || view.starts_with("0X")) return parse_digits(view.substr(2), 16);
  if (view.starts_with("0b") || view.starts_with("0B")) return parse_digits(view.substr(2), 2);
  if (view.starts_with("0o") || view.starts_with("0O")) return parse_digits(view.substr(2), 8);
  if (view.size() > 1 && view.front() == '0') {
    if (const auto octal = parse_digits(view.substr(1), 8)) return octal;
  }
  if (const auto decimal = parse_digits(view, 10)) return decimal;
  double number = 0;
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), number);
  constexpr double limit = 18446744073709549568.0;  // the largest double below 2^64
  if (error != std::errc() || end != view.data() + view.size() || view.empty()) return std::nullopt;
  if (!(number >= 0 && number <= limit)) return std::nullopt;
  return static_cast<uint64_t>(std::trunc(number));
}

}  // namespace

std::string lower_case(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

std::string yaml_scalar(std::string_view text) {
  const auto plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '/' ||
           c == '.' || c == '_' || c == '-' || c == ':';
  };
  const bool starts_well = !text.empty() && text.front() != '-' && text.front() != ':' && text.back() != ':';
  if (starts_well && std::all_of(text.begin(), text.end(), plain) && !is_boolean_word(text) &&
      text != "null") {
    return std::string(text);
  }
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string yaml_list(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ", ") + yaml_scalar(item);
  return "[" + text + "]";
}

tl::unexpected<Error> fail_inside(const YAML::Node& node, std::string_view message) {
  return fail(Errc::invalid_argument, "line {}: {}", node.Mark().line + 1, message);
}

Result<std::string> read_scalar(const YAML::Node& node, std::string_view wanted) {
  if (!node.IsScalar()) return fail(Errc::invalid_argument, "expected {}, found {}", wanted, kind_of(node));
  return node.Scalar();
}

Result<bool> read_boolean(const YAML::Node& node) {
  Result<std::string> text = read_scalar(node, "true or false");
  if (!text) return propagate(text);
  const bool quoted = node.Tag() == "!";
  if (!quoted && std::find(yes_words.begin(), yes_words.end(), *text) != yes_words.end()) return true;
  if (!quoted && std::find(no_words.begin(), no_words.end(), *text) != no_words.end()) return false;
  return fail(Errc::invalid_argument, "expected true or false, found \"{}\"", *text);
}

Result<uint64_t> read_integer(const YAML::Node& node, uint64_t max) {
  Result<std::string> text = read_scalar(node, "an integer");
  if (!text) return propagate(text);
  const std::optional<uint64_t> value = parse_integer(*text);
  if (!value || *value > max) {
    return fail(Errc::invalid_argument, "expected an integer from 0 to {}, found \"{}\"", max, *text);
  }
  return *value;
}

Result<Duration> read_duration(const YAML::Node& node) {
  Result<std::string> text = read_scalar(node, "a duration");
  if (!text) return propagate(text);
  Result<Duration> value = parse_duration(*text);
  if (!value || *value < Duration::zero()) {
    return fail(Errc::invalid_argument, "expected a duration such as 30s or 1h30m, found \"{}\"", *text);
  }
  return *value;
}

Result<uint64_t> read_size(const YAML::Node& node) {
  Result<std::string> text = read_scalar(node, "a size");
  if (!text) return propagate(text);
  Result<uint64_t> value = parse_size(*text);
  if (!value) return fail(Errc::invalid_argument, "expected a size such as 4MB or 512k, found \"{}\"", *text);
  return *value;
}

Result<std::vector<std::string>> read_strings(const YAML::Node& node) {
  if (!node.IsSequence()) return fail(Errc::invalid_argument, "expected a list, found {}", kind_of(node));
  std::vector<std::string> items;
  for (const YAML::Node& item : node) {
    Result<std::string> text = read_scalar(item, "a string");
    if (!text) return fail_inside(item, text.error().message);
    items.push_back(std::move(*text));
  }
  return items;
}

Result<void> SizeMapValue::read(const YAML::Node& node) {
  if (!node.IsMap()) return fail(Errc::invalid_argument, "expected a mapping, found {}", kind_of(node));
  if (node.size() == 0) return {};
  if (!from_file_) target_.clear();
  from_file_ = true;
  for (const auto& item : node) {
    Result<uint64_t> from = read_size(item.first);
    if (!from) return fail_inside(item.first, from.error().message);
    Result<uint64_t> value = read_size(item.second);
    if (!value) return fail_inside(item.second, value.error().message);
    if (*value == 0) return fail_inside(item.second, "a size of 0 is not possible here");
    target_[*from] = *value;
  }
  return {};
}

void SizeMapValue::reset() {
  target_ = default_;
  from_file_ = false;
}

std::string SizeMapValue::text() const {
  std::string inner;
  for (const auto& [from, value] : target_) {
    inner += fmt::format("{}{}: {}", inner.empty() ? "" : ", ", format_size(from), format_size(value));
  }
  return "{" + inner + "}";
}

ConfigValuePtr make_value(std::string& target) {
  return std::make_unique<PlainValue<std::string>>(
      target, "string", [](const YAML::Node& node) { return read_scalar(node, "a string"); },
      [](const std::string& value) { return yaml_scalar(value); });
}

ConfigValuePtr make_value(bool& target) {
  return std::make_unique<PlainValue<bool>>(
      target, "boolean", read_boolean, [](const bool& value) { return value ? "true" : "false"; }, false);
}

ConfigValuePtr make_value(Duration& target) {
  return std::make_unique<PlainValue<Duration>>(target, "duration", read_duration,
                                                [](const Duration& value) { return format_duration(value); });
}

ConfigValuePtr make_value(std::vector<std::string>& target) {
  return std::make_unique<PlainValue<std::vector<std::string>>>(target, "list of strings", read_strings,
                                                                yaml_list);
}

ConfigValuePtr make_value(std::map<uint64_t, uint64_t>& target) {
  return std::make_unique<SizeMapValue>(target);
}

ConfigValuePtr make_size_value(uint64_t& target) {
  return std::make_unique<PlainValue<uint64_t>>(target, "size", read_size,
                                                [](const uint64_t& value) { return format_size(value); });
}

}  // namespace krakend::daemon
