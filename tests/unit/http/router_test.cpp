#include "stage.h"

namespace krakend::http::test {
namespace {

/// Answers with the parameters, so that a test sees which route it was and what it got.
Handler named(std::string route) {
  return [route = std::move(route)](Request& request) -> Task<Response> {
    std::string text = route;
    for (const auto& [name, value] : request.params) text += fmt::format(" {}=\"{}\"", name, value);
    co_return text_response(200, text);
  };
}

struct Routed {
  int status;
  std::string body;
  Headers headers;
};

Routed ask(const Router& router, std::string method, std::string path) {
  io::Loop loop;
  Request request;
  request.method = std::move(method);
  request.target = request.path = std::move(path);
  auto response = krakend::test::run(loop, router.handle(request));
  const auto* text = std::get_if<std::string>(&response.body);
  return {response.status, text != nullptr ? *text : "", response.headers};
}

Router native(Router::WrongMethod wrong = Router::WrongMethod::not_found) {
  Router router(wrong);
  router.add("GET", "/tags/{tag}", named("tag"));
  router.add("PUT", "/tags/{tag}/digest/{digest}", named("put"));
  router.add("GET", "/repositories/{repo}/tags", named("list"));
  router.add("HEAD", "/blobs/{digest}", named("head"));
  router.add("GET", "/list/*", named("rest"));
  return router;
}

}  // namespace

TEST_CASE("router: escaped parameters (contract http-api §1.3)") {
  const auto router = native();
  struct Row {
    const char* path;
    int status;
    const char* body;
  };
  const Row rows[] = {
      {"/tags/a%2Fb:c", 200, "tag tag=\"a/b:c\""},
      {"/tags/a%2Fb%3Ac", 200, "tag tag=\"a/b:c\""},
      {"/tags/a%252Fb%253Ac", 200, "tag tag=\"a/b:c\""},
      {"/tags/a%252Fb%3Ac", 200, "tag tag=\"a%2Fb:c\""},
      {"/tags/a%25b", 400, "bad escape in tag\n"},
      {"/repositories/a%2Fb/tags", 200, "list repo=\"a/b\""},
      {"/repositories/a%252Fb/tags", 200, "list repo=\"a/b\""},
      {"/repositories/a/b/tags", 404, "404 page not found\n"},
      {"/tags/a+b", 200, "tag tag=\"a+b\""},
      {"/tags/a%20b", 200, "tag tag=\"a b\""},
      {"/tags/%zz", 400, "bad escape in path\n"},
      {"/tags/a%2", 400, "bad escape in path\n"},
  };
  for (const auto& row : rows) {
    INFO(row.path);
    const auto got = ask(router, "GET", row.path);
    CHECK(got.status == row.status);
    CHECK(got.body == row.body);
  }
}

TEST_CASE("router: empty parameters and double slashes (contract http-api §1.3)") {
  const auto router = native();
  CHECK(ask(router, "PUT", "/tags//digest/sha256:a").status == 400);
  CHECK(ask(router, "GET", "/repositories//tags").status == 400);
  CHECK(ask(router, "GET", "/tags/").status == 404);
  CHECK(ask(router, "GET", "/tags").status == 404);
  CHECK(ask(router, "GET", "//tags/a").status == 404);
  CHECK(ask(router, "GET", "/tags//a").status == 404);
  CHECK(ask(router, "GET", "/tags/a/").status == 404);
}

TEST_CASE("router: the rest of a path is kept as it is") {
  const auto router = native();
  CHECK(ask(router, "GET", "/list/").body == "rest *=\"\"");
  CHECK(ask(router, "GET", "/list//repo").body == "rest *=\"/repo\"");
  CHECK(ask(router, "GET", "/list/a/b//c").body == "rest *=\"a/b//c\"");
  CHECK(ask(router, "GET", "/list").status == 404);
}

TEST_CASE("router: unknown paths and wrong methods (contract http-api §1.6)") {
  const auto unknown = ask(native(), "GET", "/nowhere");
  CHECK(unknown.status == 404);
  CHECK(unknown.body == "404 page not found\n");
  CHECK(unknown.headers.get("X-Content-Type-Options") == "nosniff");
  CHECK(unknown.headers.get("Content-Type") == "text/plain; charset=utf-8");

  const auto hidden = ask(native(), "DELETE", "/tags/a");
  CHECK(hidden.status == 404);
  CHECK(hidden.body == "404 page not found\n");
  const auto told = ask(native(Router::WrongMethod::method_not_allowed), "DELETE", "/tags/a");
  CHECK(told.status == 405);
  CHECK(told.body.empty());
  CHECK(ask(native(Router::WrongMethod::method_not_allowed), "DELETE", "/nowhere").status == 404);
}

TEST_CASE("router: HEAD is served by HEAD routes only") {
  const auto router = native();
  CHECK(ask(router, "HEAD", "/tags/a").status == 404);
  CHECK(ask(router, "HEAD", "/blobs/sha256:a").status == 200);
  CHECK(ask(router, "GET", "/blobs/sha256:a").status == 404);
}

TEST_CASE("router: a fallback takes what no pattern matches, with the received path") {
  auto router = native();
  router.fallback([](Request& request) -> Task<Response> { co_return text_response(200, request.path); });
  CHECK(ask(router, "GET", "/v2/a%2Fb//c").body == "/v2/a%2Fb//c");
  CHECK(ask(router, "GET", "/tags/a").body == "tag tag=\"a\"");
}

TEST_CASE("router: the first route that fits is taken, whatever its method's neighbours") {
  Router router;
  router.add("GET", "/a/b", named("fixed"));
  router.add("GET", "/a/{x}", named("parameter"));
  router.add("POST", "/a/{x}", named("post"));
  CHECK(ask(router, "GET", "/a/b").body == "fixed");
  CHECK(ask(router, "GET", "/a/c").body == "parameter x=\"c\"");
  CHECK(ask(router, "POST", "/a/b").body == "post x=\"b\"");
}

}  // namespace krakend::http::test
