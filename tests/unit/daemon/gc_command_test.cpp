#include "daemon/gc_command.h"

#include "support/catch.h"

namespace krakend::daemon {
namespace {

using Args = std::vector<std::string>;

std::string error_of(const Args& args) {
  const auto parsed = parse_gc(args);
  REQUIRE_FALSE(parsed);
  return parsed.error().message;
}

TEST_CASE("the command line of the garbage collector") {
  const auto parsed = parse_gc({"--origin=o1:15002", "--build-index", "b1:15004", "--build-index=b2:15004"});
  REQUIRE(parsed);
  const auto& dry = std::get<GcCommand>(*parsed).options;
  CHECK(dry.origins == Args{"o1:15002"});
  CHECK(dry.build_indexes == Args{"b1:15004", "b2:15004"});
  CHECK(dry.min_age == 24h);
  CHECK(dry.namespaces == Args{"TODO"});
  CHECK_FALSE(dry.remove);
  CHECK_FALSE(dry.skip_missing);
  const auto full = parse_gc({"--origin=o:1", "--build-index=b:2", "--delete", "--min-age=90m",
                              "--skip-missing", "--namespace=library/.*"});
  REQUIRE(full);
  const auto& options = std::get<GcCommand>(*full).options;
  CHECK(options.remove);
  CHECK(options.skip_missing);
  CHECK(options.min_age == 90min);
  CHECK(options.namespaces == Args{"library/.*"});
  CHECK(std::get<std::string>(*parse_gc({"--help"})).find("--min-age") != std::string::npos);
}

TEST_CASE("the garbage collector calls over TLS as soon as a flag speaks of it") {
  const auto parsed = [](Args args) {
    args.insert(args.end(), {"--origin=o:1", "--build-index=b:1"});
    return std::get<GcCommand>(*parse_gc(args));
  };
  CHECK_FALSE(parsed({}).tls);
  const auto named = parsed({"--tls-name=kraken"});
  REQUIRE(named.tls);
  CHECK(named.tls->server_name == "kraken");
  const auto full = parsed({"--tls-ca=/ca", "--tls-cert=/c", "--tls-key=/k", "--tls-passphrase=/p"});
  REQUIRE(full.tls);
  CHECK(full.tls->files == io::TlsFiles{"/c", "/k", "/p", {"/ca"}});
}

TEST_CASE("wrong command lines of the garbage collector") {
  CHECK(error_of({"--build-index=b:1"}).find("--origin") != std::string::npos);
  CHECK(error_of({"--origin=o:1"}).find("--build-index") != std::string::npos);
  CHECK(error_of({"--origin=o", "--build-index=b:1"}).find("HOST:PORT") != std::string::npos);
  CHECK(error_of({"--origin=o:1", "--build-index=b:1", "--min-age=old"}).find("--min-age") !=
        std::string::npos);
  CHECK(error_of({"--origin=o:1", "--build-index=b:1", "--purge"}).find("--purge") != std::string::npos);
}

}  // namespace
}  // namespace krakend::daemon
