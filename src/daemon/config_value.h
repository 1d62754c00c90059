#pragma once

#include <yaml-cpp/yaml.h>

#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "krakend/core/result.h"
#include "krakend/core/time.h"

namespace krakend::daemon {

/// How one kind of value is read from YAML into its place in the configuration, and written back.
class ConfigValue {
 public:
  virtual ~ConfigValue() = default;
  /// The error is about the value alone, or starts with "line N: " when it is about something inside it.
  virtual Result<void> read(const YAML::Node& node) = 0;
  /// Back to the default.
  virtual void reset() = 0;
  /// YAML in flow style that read() takes.
  virtual std::string text() const = 0;
  /// Kind for people: "duration", "list of strings".
  virtual std::string type() const = 0;
};
using ConfigValuePtr = std::unique_ptr<ConfigValue>;

/// A string as a YAML scalar, quoted where YAML needs it.
std::string yaml_scalar(std::string_view text);
std::string yaml_list(const std::vector<std::string>& items);

/// The text of a scalar node; an error that names what is there instead.
Result<std::string> read_scalar(const YAML::Node& node, std::string_view wanted);
/// Plain (unquoted) YAML 1.1 booleans only (contract config-ops §1.3).
Result<bool> read_boolean(const YAML::Node& node);
/// Decimal, 0x, 0b, leading-0 octal, "_" separators; floats are truncated (contract config-ops §2).
Result<uint64_t> read_integer(const YAML::Node& node, uint64_t max);
Result<Duration> read_duration(const YAML::Node& node);
Result<uint64_t> read_size(const YAML::Node& node);
Result<std::vector<std::string>> read_strings(const YAML::Node& node);
/// A failure about `node` inside a larger value.
tl::unexpected<Error> fail_inside(const YAML::Node& node, std::string_view message);

/// A value of type T in `target`. "Zero means default" (contract config-ops §1.5): what reads as T{} is the
/// default.
template <class T>
class PlainValue final : public ConfigValue {
 public:
  using Read = std::function<Result<T>(const YAML::Node&)>;
  using Write = std::function<std::string(const T&)>;
  PlainValue(T& target, std::string type, Read read, Write write, bool zero_is_default = true)
      : target_(target),
        default_(target),
        type_(std::move(type)),
        read_(std::move(read)),
        write_(std::move(write)),
        zero_is_default_(zero_is_default) {}

  Result<void> read(const YAML::Node& node) override {
    Result<T> value = read_(node);
    if (!value) return propagate(value);
    if (zero_is_default_ && *value == T{}) {
      target_ = default_;
    } else {
      target_ = std::move(*value);
    }
    return {};
  }
  void reset() override { target_ = default_; }
  std::string text() const override { return write_(target_); }
  std::string type() const override { return type_; }

 private:
  T& target_;
  const T default_;
  std::string type_;
  Read read_;
  Write write_;
  const bool zero_is_default_;
};

/// A YAML map with sizes as keys and values. Files merge key by key; the default goes when a file says
/// anything.
class SizeMapValue final : public ConfigValue {
 public:
  explicit SizeMapValue(std::map<uint64_t, uint64_t>& target) : target_(target), default_(target) {}
  Result<void> read(const YAML::Node& node) override;
  void reset() override;
  std::string text() const override;
  std::string type() const override { return "map of size to size"; }

 private:
  std::map<uint64_t, uint64_t>& target_;
  const std::map<uint64_t, uint64_t> default_;
  bool from_file_ = false;
};

ConfigValuePtr make_value(std::string& target);
/// "false" is meant, whatever the default.
ConfigValuePtr make_value(bool& target);
ConfigValuePtr make_value(Duration& target);
ConfigValuePtr make_value(std::vector<std::string>& target);
ConfigValuePtr make_value(std::map<uint64_t, uint64_t>& target);
/// Bytes.
ConfigValuePtr make_size_value(uint64_t& target);

template <std::unsigned_integral T>
requires(!std::same_as<T, bool>) ConfigValuePtr make_value(T& target) {
  return std::make_unique<PlainValue<T>>(
      target, "integer",
      [](const YAML::Node& node) -> Result<T> {
        Result<uint64_t> value = read_integer(node, std::numeric_limits<T>::max());
        if (!value) return propagate(value);
        return static_cast<T>(*value);
      },
      [](const T& value) { return std::to_string(value); });
}

std::string lower_case(std::string text);

/// One of a few words, in lower case, taken in any case. An empty word is the default.
template <class T>
ConfigValuePtr make_choice(T& target, std::vector<std::pair<std::string, T>> words) {
  struct Choice final : ConfigValue {
    Choice(T& place, std::vector<std::pair<std::string, T>> list)
        : target(place), initial(place), words(std::move(list)) {}
    Result<void> read(const YAML::Node& node) override {
      Result<std::string> word = read_scalar(node, type());
      if (!word) return propagate(word);
      if (word->empty()) {
        target = initial;
        return {};
      }
      for (const auto& [name, value] : words) {
        if (name != lower_case(*word)) continue;
        target = value;
        return {};
      }
      return fail(Errc::invalid_argument, "expected {}, found \"{}\"", type(), *word);
    }
    void reset() override { target = initial; }
    std::string text() const override {
      for (const auto& [name, value] : words) {
        if (value == target) return yaml_scalar(name);
      }
      return "\"\"";
    }
    std::string type() const override {
      std::string all;
      for (const auto& [name, value] : words) all += (all.empty() ? "" : " | ") + name;
      return all;
    }
    T& target;
    const T initial;
    const std::vector<std::pair<std::string, T>> words;
  };
  return std::make_unique<Choice>(target, std::move(words));
}

}  // namespace krakend::daemon
