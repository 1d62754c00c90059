#include "daemon/gc_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>

#include "daemon/flags.h"
#include "krakend/core/units.h"
#include "krakend/io/system.h"
#include "krakend/io/task_group.h"

namespace krakend::daemon {
namespace {

constexpr const char* about =
    "Remove the blobs that no tag leads to, from the origins and their backends, while the cluster runs. "
    "Without --delete nothing is removed: it says what would be.";
constexpr const char* notes =
    "In use is what a tag leads to: manifests, the manifests an index lists, configs, layers, and the "
    "referrers "
    "(signatures, SBOMs) of what is in use. Content that is only known by its digest goes. A blob that "
    "anybody "
    "pushed, pulled or looked for within --min-age stays; an origin that was started later than that cannot "
    "tell, and refuses. All origins have to be up. A backend that several clusters share must not be swept "
    "by "
    "any of them.";

std::string check_host(const std::string& text) {
  const Result<void> checked = check_host_port(text);
  return checked ? "" : checked.error().message;
}

LogOptions log_options(LogLevel level) {
  LogOptions options;
  options.level = level;
  return options;
}

class GcRun {
 public:
  GcRun(const GcCommand& command, http::ClientOptions client)
      : command_(command),
        log_(Logger::create(log_options(command.log_level), "krakend").module("gc")),
        client_(http::make_client(loop_, *clock_, std::move(client))),
        tasks_(loop_, log_),
        collector_({loop_, *client_, *clock_, *random_, tasks_}, command.options, say, log_) {}

  int run() {
    loop_.post([this] { tasks_.spawn(collect(), "garbage collection"); });
    loop_.run();
    return status_;
  }

 private:
  static void say(const std::string& line) { fmt::print("{}\n", line); }

  Task<> collect() {
    auto report = co_await collector_.run();
    co_await collector_.stop();
    if (report) {
      tell(*report);
    } else {
      fmt::print(stderr, "krakend gc: {}\n", report.error().message);
      status_ = 1;
    }
    loop_.stop();
  }

  void tell(const gc::CollectorReport& report) const {
    say(fmt::format("in use: {} blobs of {} manifests that {} tags lead to", report.in_use, report.manifests,
                    report.tags));
    say(fmt::format("unused: {} blobs, of which {} stay for now", report.unused, report.kept));
    if (command_.options.remove) {
      say(fmt::format("removed: {} blobs, {} bytes", report.removed, report.removed_bytes));
    } else {
      say(fmt::format("would be removed: {} blobs, {} bytes; krakend gc --delete does it", report.removed,
                      report.removed_bytes));
    }
  }

  const GcCommand& command_;
  Logger log_;
  io::Loop loop_;
  std::unique_ptr<io::Clock> clock_ = io::make_system_clock(loop_);
  std::unique_ptr<io::Random> random_ = io::make_system_random();
  std::unique_ptr<http::Client> client_;
  io::TaskGroup tasks_;
  gc::Collector collector_;
  int status_ = 0;
};

void add_tls(CLI::App& app, io::TlsClientOptions& tls) {
  app.add_option("--tls-ca", tls.files.cas, "Call over TLS; an authority of the others' certificates; PEM")
      ->type_name("FILE");
  app.add_option("--tls-name", tls.server_name,
                 "Call over TLS; the name that the others must prove. Default: their host")
      ->type_name("NAME");
  app.add_option("--tls-cert", tls.files.cert, "A client certificate, which removing needs; PEM")
      ->type_name("FILE");
  app.add_option("--tls-key", tls.files.key, "Its private key; PEM")->type_name("FILE");
  app.add_option("--tls-passphrase", tls.files.passphrase, "File with the passphrase of an encrypted key")
      ->type_name("FILE");
}

}  // namespace

Result<std::variant<GcCommand, std::string>> parse_gc(const std::vector<std::string>& args) {
  GcCommand command;
  gc::CollectorOptions& options = command.options;
  std::string min_age = format_duration(options.min_age);
  bool debug = false;
  CLI::App app(about, "krakend gc");
  app.footer(notes);
  app.add_option("--origin", options.origins, "An origin; it names the others of its ring")
      ->type_name("HOST:PORT")
      ->required()
      ->check(check_host);
  app.add_option("--build-index", options.build_indexes, "A build-index; several may be given")
      ->type_name("HOST:PORT")
      ->required()
      ->check(check_host);
  app.add_option("--namespace", options.namespaces,
                 "Namespaces whose backends are swept. Default: that of pushed blobs")
      ->type_name("NAME");
  app.add_option("--min-age", min_age, "What was used within this time stays. Default: 24h")
      ->type_name("DURATION");
  app.add_flag("--delete", options.remove, "Remove; otherwise only say what would be removed");
  app.add_flag(
      "--skip-missing", options.skip_missing,
      "Go on although manifests are not there that tags lead to: what only these refer to is removed");
  app.add_flag("--debug", debug, "Log every call");
  add_tls(app, command.tls.emplace());
  std::vector<std::string> backwards(args.rbegin(), args.rend());  // CLI11 takes them from the back
  try {
    app.parse(std::move(backwards));
  } catch (const CLI::CallForHelp&) {
    return app.help();
  } catch (const CLI::ParseError& error) {
    return fail(Errc::invalid_argument, "gc: {}; krakend gc --help lists the flags", error.what());
  }
  Result<Duration> age = parse_duration(min_age);
  if (!age) return fail(Errc::invalid_argument, "gc: --min-age: {}", age.error().message);
  options.min_age = *age;
  if (debug) command.log_level = LogLevel::debug;
  if (*command.tls == io::TlsClientOptions{}) command.tls.reset();
  return command;
}

int run_gc(const GcCommand& command) {
  http::ClientOptions client;
  if (command.tls) {
    const std::unique_ptr<io::Disk> disk = io::make_posix_disk();
    auto tls = io::TlsClient::load(*disk, *command.tls);
    if (!tls) {
      fmt::print(stderr, "krakend gc: {}\n", tls.error().message);
      return 1;
    }
    client.tls = std::move(*tls);
  }
  return GcRun(command, std::move(client)).run();
}

}  // namespace krakend::daemon
