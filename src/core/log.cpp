#include "krakend/core/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace krakend {
namespace {

constexpr std::array<std::string_view, 4> level_names{"DEBUG", "INFO", "WARN", "ERROR"};

/// UTC with milliseconds: 2026-01-02T03:04:05.678Z
std::string timestamp(spdlog::log_clock::time_point now) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  const std::time_t seconds = since / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, since % 1000);
}

/// Control characters would let a peer forge log lines.
std::string escaped(std::string_view message) {
  std::string text;
  for (const char c : message) {
    if (c == '\n')
      text += "\\n";
    else if (static_cast<unsigned char>(c) < 0x20)
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      text += c;
  }
  return text;
}

}  // namespace

struct Logger::Sink {
  LogLevel level = LogLevel::info;
  bool json = false;
  std::unique_ptr<spdlog::logger> out;
};

Logger::Logger() = default;

Logger Logger::create(const LogOptions& options, std::string role) {
  Logger logger;
  logger.sink_ = std::make_shared<Sink>();
  logger.sink_->level = options.level;
  logger.sink_->json = options.json;
  logger.role_ = std::move(role);
  spdlog::sink_ptr sink;
  if (options.path.empty()) {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    try {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.path);
    } catch (const spdlog::spdlog_ex& error) {
      throw std::runtime_error(fmt::format("log file {}: {}", options.path, error.what()));
    }
  }
  logger.sink_->out = std::make_unique<spdlog::logger>("krakend", std::move(sink));
  logger.sink_->out->set_pattern("%v");
  logger.sink_->out->set_level(spdlog::level::trace);
  logger.sink_->out->flush_on(spdlog::level::trace);
  return logger;
}

Logger Logger::module(std::string name) const {
  Logger copy = *this;
  copy.module_ = std::move(name);
  return copy;
}

Logger Logger::role(std::string name) const {
  Logger copy = *this;
  copy.role_ = std::move(name);
  return copy;
}

bool Logger::enabled(LogLevel level) const {
  return sink_ && level >= sink_->level;
}

void Logger::write(LogLevel level, std::string_view message) const {
  if (!enabled(level)) return;
  const auto time = timestamp(spdlog::log_clock::now());
  const auto name = level_names.at(static_cast<size_t>(level));
  std::string line;
  if (sink_->json) {
    nlohmann::ordered_json object;
    object["ts"] = time;
    object["level"] = name;
    object["role"] = role_;
    object["module"] = module_;
    object["message"] = message;
    line = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  } else {
    line = fmt::format("{} {} {}{}{} {}", time, name, role_, module_.empty() ? "" : "/", module_,
                       escaped(message));
  }
  sink_->out->log(spdlog::level::info, "{}", line);
}

}  // namespace krakend
