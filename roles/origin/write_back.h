#pragma once

#include <string>

#include "krakend/api/lookup_cache.h"
#include "krakend/backend/backend.h"
#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/storage/blob_store.h"

namespace krakend::origin {

/// Copies committed blobs to the backend of their namespace before the commit is answered. A blob whose copy
/// failed is flagged, so that nothing deletes the only one; the next upload of it tries again. Loop thread.
class WriteBack {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    storage::BlobStore& store;
    const backend::Backends& backends;
  };
  WriteBack(Services services, Logger log);

  /// Success when the backend has the blob, durably, or when no backend matches the namespace (contract
  /// http-api §4.7). Concurrent calls for one blob are one copy.
  Task<Result<void>> write(std::string ns, Digest digest);

 private:
  Task<Result<bool>> write_once(std::string ns, Digest digest);
  Task<Result<void>> copy(std::string ns, Digest digest);

  Services services_;
  Logger log_;
  api::LookupCache<std::string, bool> flights_;
};

}  // namespace krakend::origin
