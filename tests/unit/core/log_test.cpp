#include "krakend/core/log.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "krakend/core/trace.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace krakend::test {
namespace {

using Catch::Matchers::Contains;

/// A log into a file, and its lines.
struct Written {
  explicit Written(LogOptions options = {}) {
    options.outputs = {directory.path() + "/log"};
    log = Logger::create(options, "agent").module("p2p");
  }
  std::vector<std::string> lines() const {
    std::ifstream file(directory.path() + "/log");
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }
  TempDir directory;
  Logger log;
};

constexpr const char* parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TracePtr some_trace() {
  return std::make_shared<const Trace>(*Trace::parse(parent, "a=1", "x"));
}

TEST_CASE("log: text lines name time, level, role and module, and nobody forges one") {
  const Written written;
  written.log.info("one\ntwo {}", 3);
  REQUIRE(written.lines().size() == 1);
  CHECK_THAT(written.lines()[0], Contains("Z INFO agent/p2p one\\ntwo 3"));
}

TEST_CASE("log: JSON lines have the keys, the case and the time that zap was told") {
  LogOptions options;
  options.json = true;
  options.message_key = "msg";
  options.level_case = LogOptions::LevelCase::lower;
  options.time = LogOptions::Time::seconds;
  options.module_key.clear();
  options.initial_fields = {{"team", "\"x\""}};
  const Written written(options);
  written.log.write(LogLevel::warn, "a \"b\"", {{"size", "7"}});
  const auto line = nlohmann::json::parse(written.lines().at(0));
  CHECK(line["msg"] == "a \"b\"");
  CHECK(line["level"] == "warn");
  CHECK(line["ts"].is_number());
  CHECK(line["team"] == "x");
  CHECK(line["size"] == 7);
  CHECK_FALSE(line.contains("module"));
  CHECK_FALSE(line.contains("trace_id"));
}

TEST_CASE("log: lines say which trace they belong to") {
  LogOptions options;
  options.json = true;
  const Written json(options);
  const Written text;
  {
    const TraceScope scope(some_trace());
    json.log.info("in");
    text.log.info("in");
  }
  text.log.info("out");
  CHECK(nlohmann::json::parse(json.lines().at(0))["trace_id"] == "0af7651916cd43dd8448eb211c80319c");
  CHECK_THAT(text.lines().at(0), Contains("in trace_id=0af7651916cd43dd8448eb211c80319c span_id="));
  CHECK_THAT(text.lines().at(1), !Contains("trace_id"));
}

TEST_CASE("log: a level that is set holds for all copies") {
  const Written written;
  const Logger copy = written.log.module("other");
  copy.debug("unheard");
  written.log.set_level(LogLevel::debug);
  copy.debug("heard");
  CHECK(written.lines().size() == 1);
}

TEST_CASE("log: of the same message in a second only some are written") {
  LogOptions options;
  options.sample_first = 2;
  options.sample_then = 1'000'000;
  const Written written(options);
  for (int i = 0; i < 50; ++i) written.log.info("again");
  written.log.info("another");
  // Two per second: the loop may have seen the second change, hardly twice.
  CHECK(written.lines().size() >= 3);
  CHECK(written.lines().size() <= 5);
}

TEST_CASE("log: an output that cannot be opened is named") {
  LogOptions options;
  options.outputs = {"/proc/nowhere/log"};
  CHECK_THROWS_WITH(Logger::create(options, "agent"), Contains("/proc/nowhere/log"));
}

TEST_CASE("trace: valid headers, a span of our own, and what is passed on") {
  const auto trace = Trace::parse(parent, "a=1", "x");
  REQUIRE(trace);
  CHECK(trace->trace_id == "0af7651916cd43dd8448eb211c80319c");
  CHECK(trace->span_id != "b7ad6b7169203331");
  CHECK(trace->span_id != Trace::parse(parent, "", "y")->span_id);
  CHECK(trace->traceparent() == "00-" + trace->trace_id + "-" + trace->span_id + "-01");
  CHECK(trace->state == "a=1");
  CHECK(Trace::parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later", "", ""));
}

TEST_CASE("trace: what is not valid is no trace") {
  for (const char* bad : {"", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
                          "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                          "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                          "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                          "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                          "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"}) {
    CHECK_FALSE(Trace::parse(bad, "", ""));
  }
}

}  // namespace
}  // namespace krakend::test
