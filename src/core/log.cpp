#include "krakend/core/log.h"

#include "krakend/core/line_log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <unordered_map>

#include "krakend/core/trace.h"

namespace krakend {
namespace {

using Clock = spdlog::log_clock;

constexpr std::array<std::string_view, 4> capital_names{"DEBUG", "INFO", "WARN", "ERROR"};
constexpr std::array<std::string_view, 4> lower_names{"debug", "info", "warn", "error"};

/// UTC with milliseconds: 2026-01-02T03:04:05.678Z
std::string iso8601(Clock::time_point now) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  const std::time_t seconds = since / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, since % 1000);
}

/// As JSON: a text, or a number of whatever unit.
std::string time_json(LogOptions::Time form, Clock::time_point now) {
  const std::chrono::nanoseconds since = now.time_since_epoch();
  switch (form) {
    case LogOptions::Time::iso8601:
      return '"' + iso8601(now) + '"';
    case LogOptions::Time::seconds:
      return fmt::format("{:.6f}", std::chrono::duration<double>(since).count());
    case LogOptions::Time::millis:
      return fmt::format("{:.3f}", std::chrono::duration<double, std::milli>(since).count());
    case LogOptions::Time::nanos:
      return std::to_string(since.count());
  }
  return "0";
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

spdlog::sink_ptr open_output(const std::string& output) {
  if (output == "stderr") return std::make_shared<spdlog::sinks::stderr_sink_mt>();
  if (output == "stdout") return std::make_shared<spdlog::sinks::stdout_sink_mt>();
  constexpr std::string_view scheme = "file://";
  const std::string path = output.starts_with(scheme) ? output.substr(scheme.size()) : output;
  try {
    return std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
  } catch (const spdlog::spdlog_ex& error) {
    throw std::runtime_error(fmt::format("log file {}: {}", path, error.what()));
  }
}

std::unique_ptr<spdlog::logger> make_writer(std::vector<spdlog::sink_ptr> sinks) {
  auto writer = std::make_unique<spdlog::logger>("krakend", sinks.begin(), sinks.end());
  writer->set_pattern("%v");
  writer->set_level(spdlog::level::trace);
  writer->flush_on(spdlog::level::trace);
  return writer;
}

/// How often each message came this second. Thread-safe.
class Sampler {
 public:
  Sampler(unsigned first, unsigned then) : first_(first), then_(then) {}
  bool wants(std::string_view message, Clock::time_point now) {
    constexpr size_t max_messages = 4096;
    if (first_ == 0) return true;
    const auto second = std::chrono::floor<std::chrono::seconds>(now);
    const std::lock_guard lock(mutex_);
    if (second != second_ || counts_.size() > max_messages) counts_.clear();
    second_ = second;
    const unsigned count = ++counts_[std::string(message)];
    return count <= first_ || (then_ > 0 && (count - first_) % then_ == 0);
  }

 private:
  const unsigned first_;
  const unsigned then_;
  std::mutex mutex_;
  std::chrono::time_point<Clock, std::chrono::seconds> second_{};
  std::unordered_map<std::string, unsigned> counts_;
};

}  // namespace

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

struct Logger::Sink {
  explicit Sink(const LogOptions& o) : options(o), level(o.level), sampler(o.sample_first, o.sample_then) {}

  std::string json_line(LogLevel of, const Logger& logger, std::string_view message,
                        const std::vector<LogField>& fields, Clock::time_point now) const {
    std::string line = "{";
    const auto add = [&line](std::string_view key, const std::string& json) {
      if (!key.empty()) line += fmt::format("{}{}:{}", line.size() > 1 ? "," : "", json_text(key), json);
    };
    add(options.time_key, time_json(options.time, now));
    add(options.level_key, json_text(level_name(of)));
    if (!logger.role_.empty()) add(options.role_key, json_text(logger.role_));
    if (!logger.module_.empty()) add(options.module_key, json_text(logger.module_));
    add(options.message_key, json_text(message));
    if (const TracePtr& trace = current_trace()) {
      add("trace_id", json_text(trace->trace_id));
      add("span_id", json_text(trace->span_id));
    }
    for (const LogField& field : options.initial_fields) add(field.key, field.json);
    for (const LogField& field : fields) add(field.key, field.json);
    return line + "}";
  }

  std::string text_line(LogLevel of, const Logger& logger, std::string_view message,
                        const std::vector<LogField>& fields, Clock::time_point now) const {
    const bool iso = options.time == LogOptions::Time::iso8601;
    std::string line =
        fmt::format("{} {} {}{}{} {}", iso ? iso8601(now) : time_json(options.time, now), level_name(of),
                    logger.role_, logger.module_.empty() ? "" : "/", logger.module_, escaped(message));
    for (const std::vector<LogField>* all : {&options.initial_fields, &fields}) {
      for (const LogField& field : *all) line += fmt::format(" {}={}", field.key, field.json);
    }
    if (const TracePtr& trace = current_trace())
      line += fmt::format(" trace_id={} span_id={}", trace->trace_id, trace->span_id);
    return line;
  }

  std::string_view level_name(LogLevel of) const {
    const auto& names = options.level_case == LogOptions::LevelCase::capital ? capital_names : lower_names;
    return names.at(static_cast<size_t>(of));
  }

  const LogOptions options;
  std::atomic<LogLevel> level;
  Sampler sampler;
  std::unique_ptr<spdlog::logger> out;
};

Logger::Logger() = default;

Logger Logger::create(const LogOptions& options, std::string role) {
  Logger logger;
  logger.sink_ = std::make_shared<Sink>(options);
  logger.role_ = std::move(role);
  std::vector<spdlog::sink_ptr> sinks;
  for (const std::string& output : options.outputs) sinks.push_back(open_output(output));
  if (sinks.empty()) sinks.push_back(open_output("stderr"));
  logger.sink_->out = make_writer(std::move(sinks));
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

void Logger::set_level(LogLevel level) const {
  if (sink_) sink_->level = level;
}

void Logger::write(LogLevel level, std::string_view message, const std::vector<LogField>& fields) const {
  if (!enabled(level)) return;
  const auto now = Clock::now();
  if (!sink_->sampler.wants(message, now)) return;
  const std::string line = sink_->options.json ? sink_->json_line(level, *this, message, fields, now)
                                               : sink_->text_line(level, *this, message, fields, now);
  sink_->out->log(spdlog::level::info, "{}", line);
}

struct LineLog::Sink {
  std::unique_ptr<spdlog::logger> out;
};

Result<LineLog> LineLog::open(const std::string& output) {
  LineLog log;
  log.sink_ = std::make_shared<Sink>();
  try {
    log.sink_->out = make_writer({open_output(output)});
  } catch (const std::exception& error) {
    return fail(Errc::io, "{}: {}", output, error.what());
  }
  return log;
}

void LineLog::write(std::string_view line) const {
  if (sink_) sink_->out->log(spdlog::level::info, "{}", line);
}

}  // namespace krakend
