#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace krakend {

enum class LogLevel { debug, info, warn, error };

struct LogOptions {
  LogLevel level = LogLevel::info;
  bool json = false;     ///< one JSON object per line instead of text
  std::string path;      ///< append to this file; empty: stderr
};

/// One line per event with time, level, role and module. Copyable and cheap; copies share the sink. Thread-safe.
/// Text form: "2026-01-02T03:04:05.678Z INFO agent/p2p message". Newlines inside messages are escaped.
class Logger {
 public:
  /// Drops everything: what tests and tools use when they do not care.
  Logger();
  /// Error io when the path cannot be opened; throws std::runtime_error with the path in the text.
  static Logger create(const LogOptions& options, std::string role);
  /// The same sink and role under another module name.
  Logger module(std::string name) const;
  Logger role(std::string name) const;

  bool enabled(LogLevel level) const;
  void write(LogLevel level, std::string_view message) const;

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
