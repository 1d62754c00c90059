#pragma once

#include <map>
#include <string>
#include <vector>

#include "krakend/core/digest.h"
#include "support/world.h"

namespace krakend::proxy {

/// One origin that owns every digest, in memory, with the upload, stat and download endpoints of contract
/// http-api §4.
class FakeOrigin {
 public:
  explicit FakeOrigin(test::World& world);
  const io::Address& address() const { return address_; }
  void add(const std::string& bytes) { blobs[Digest::of(bytes).str()] = bytes; }

  std::map<std::string, std::string> blobs;
  /// Status of every upload start, when it is not 200.
  int start_status = 200;
  /// Status of every stat, when it is not 0.
  int stat_status = 0;
  /// The next downloads send these bytes instead.
  std::string wrong_bytes;
  unsigned wrong_downloads = 0;
  /// Downloads that are answered with 202 before the blob is sent.
  unsigned pending_downloads = 0;
  unsigned downloads = 0;
  unsigned uploads = 0;
  std::string upload_namespace;
  std::string stat_namespace;
  /// Namespace and digest of each prefetch and each request for metainfo, and what answers all of them.
  std::vector<std::string> prefetched;
  std::vector<std::string> heated;
  std::vector<std::string> downloaded;
  int prefetch_status = 202;
  int metainfo_status = 202;
  /// Downloads, prefetches and requests for metainfo that are under way, and the most that were.
  unsigned running = 0;
  unsigned most_running = 0;
  /// They wait until it is opened.
  bool held = false;

 private:
  Task<http::Response> locations();
  Task<http::Response> stat(http::Request& request);
  Task<http::Response> download(http::Request& request);
  Task<http::Response> prefetch(http::Request& request);
  Task<http::Response> metainfo(http::Request& request);
  Task<> pass();
  Task<http::Response> start(http::Request& request);
  Task<http::Response> patch(http::Request& request);
  Task<http::Response> commit(http::Request& request);

  io::Clock& clock_;
  std::map<std::string, std::string> pending_uploads_;
  io::Address address_;
};

/// Tags in memory (contract http-api §6).
class FakeBuildIndex {
 public:
  explicit FakeBuildIndex(test::World& world);
  const io::Address& address() const { return address_; }

  std::map<std::string, std::string> tags;
  std::string last_put;

 private:
  Task<http::Response> put(http::Request& request);
  Task<http::Response> get(http::Request& request);
  Task<http::Response> list(http::Request& request);

  io::Address address_;
};

}  // namespace krakend::proxy
