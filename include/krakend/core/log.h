#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace krakend {

enum class LogLevel { debug, info, warn, error };

/// A field of a log line besides its message; `json` is its value as JSON.
struct LogField {
  std::string key;
  std::string json;
  bool operator==(const LogField&) const = default;
};
/// A text as JSON.
std::string json_text(std::string_view text);

/// The form and the place of log lines. Names are those of uber/kraken's `zap` block.
struct LogOptions {
  enum class Time { iso8601, seconds, millis, nanos };
  enum class LevelCase { capital, lower };

  LogLevel level = LogLevel::info;
  bool json = false;  ///< one JSON object per line instead of text
  /// Files to append to, "stdout", "stderr"; empty: stderr.
  std::vector<std::string> outputs;
  Time time = Time::iso8601;
  LevelCase level_case = LevelCase::capital;
  // Keys of the JSON form; an empty one leaves its part out.
  std::string message_key = "message";
  std::string level_key = "level";
  std::string time_key = "ts";
  std::string role_key = "role";
  std::string module_key = "module";
  /// In every line.
  std::vector<LogField> initial_fields;
  /// Of the same message in one second the first `sample_first` are written, then every `sample_then`-th;
  /// 0: all.
  unsigned sample_first = 0;
  unsigned sample_then = 0;
};

/// One line per event with time, level, role and module, and the ids of the trace that is being worked for
/// (core/trace.h). Copyable and cheap; copies share the sink. Thread-safe.
/// Text form: "2026-01-02T03:04:05.678Z INFO agent/p2p message". Newlines inside messages are escaped.
class Logger {
 public:
  /// Drops everything: what tests and tools use when they do not care.
  Logger();
  /// Throws std::runtime_error, with the path in its text, when an output cannot be opened.
  static Logger create(const LogOptions& options, std::string role);
  /// The same sink and role under another module name.
  Logger module(std::string name) const;
  Logger role(std::string name) const;

  bool enabled(LogLevel level) const;
  /// For all copies.
  void set_level(LogLevel level) const;
  void write(LogLevel level, std::string_view message, const std::vector<LogField>& fields = {}) const;

  template <class... Args>
  void debug(fmt::format_string<Args...> format, Args&&... args) const {
    if (enabled(LogLevel::debug)) write(LogLevel::debug, fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) const {
    if (enabled(LogLevel::info)) write(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void warn(fmt::format_string<Args...> format, Args&&... args) const {
    if (enabled(LogLevel::warn)) write(LogLevel::warn, fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) const {
    if (enabled(LogLevel::error)) write(LogLevel::error, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  struct Sink;
  std::shared_ptr<Sink> sink_;
  std::string role_;
  std::string module_;
};

}  // namespace krakend
