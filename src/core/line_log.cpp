#include "krakend/core/line_log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

namespace krakend {

struct LineLog::Sink {
  explicit Sink(const std::string& path)
      : out("lines", std::make_shared<spdlog::sinks::basic_file_sink_mt>(path)) {
    out.set_pattern("%v");
    out.flush_on(spdlog::level::trace);
  }
  spdlog::logger out;
};

Result<LineLog> LineLog::open(const std::string& path) {
  LineLog log;
  try {
    log.sink_ = std::make_shared<Sink>(path);
  } catch (const spdlog::spdlog_ex& error) {
    return fail(Errc::io, "{}: {}", path, error.what());
  }
  return log;
}

void LineLog::write(std::string_view line) const {
  if (sink_) sink_->out.info("{}", line);
}

}  // namespace krakend
