#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/result.h"
#include "krakend/io/content.h"
#include "krakend/io/disk.h"
#include "krakend/io/loop.h"
#include "krakend/io/task.h"

namespace krakend::backend {

/// One remote (or local) store of named objects: blobs by hex digest, tags by "repo:tag". Loop thread.
class Backend {
 public:
  virtual ~Backend() = default;
  /// Size in bytes; not_found.
  virtual Task<Result<uint64_t>> stat(std::string name) = 0;
  /// Feeds the object from `offset` on into `sink` (on the pool); not_found before the first byte.
  virtual Task<Result<void>> download(std::string name, uint64_t offset, io::ByteSink& sink) = 0;
  /// Stores the whole file under `name`, durable when it returns. `path` is where the file lies, for backends
  /// that can link to it: the content at that path is never modified in place. Overwrites.
  virtual Task<Result<void>> upload(std::string name, io::FilePtr file, std::string path) = 0;
  /// Small objects (tags) as text.
  virtual Task<Result<std::string>> get(std::string name, uint64_t limit) = 0;
  virtual Task<Result<void>> put(std::string name, std::string content) = 0;
  virtual Task<Result<void>> remove(std::string name) = 0;
  /// All names under a prefix ("library/alpine/_manifests/tags", "" for all), sorted. Unknown prefix: empty.
  virtual Task<Result<std::vector<std::string>>> list(std::string prefix) = 0;
};
using BackendPtr = std::shared_ptr<Backend>;

/// How a backend turns names into paths (contract core-formats §21).
class NamePath {
 public:
  virtual ~NamePath() = default;
  /// Error invalid_argument for names the scheme cannot hold; a path never leaves `root`.
  virtual Result<std::string> path(std::string_view name) const = 0;
  /// nullopt-like failure for paths that are not of this scheme.
  virtual Result<std::string> name(std::string_view path) const = 0;
  /// The directory below which all paths are.
  virtual std::string base() const = 0;
};
/// id: identity, docker_tag, sharded_docker_blob; anything else is an error that lists these.
Result<std::unique_ptr<NamePath>> make_name_path(std::string_view id, std::string root);

/// A plain directory, durable (fsync) on every put. Reads of a missing root are not_found.
BackendPtr make_file_backend(io::Loop& loop, io::Disk& disk, std::unique_ptr<NamePath> name_path);

/// Namespace regular expression (RE2, unanchored) → backend; the first match in list order wins. The
/// namespace "__noop__" always selects a backend that has nothing and swallows everything.
class Backends {
 public:
  Backends();
  ~Backends();
  /// Error invalid_argument names the regular expression and what is wrong with it.
  /// `must_ready`: ready() asks it.
  Result<void> add(std::string_view regex, BackendPtr backend, bool must_ready = false);
  /// Asks every backend that must be ready for something that it does not have (contract
  /// backends-replication §2.5).
  Task<Result<void>> ready(std::string probe) const;
  /// not_found: no backend for that namespace.
  Result<BackendPtr> find(std::string_view ns) const;

 private:
  struct Entry;
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace krakend::backend
