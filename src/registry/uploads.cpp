#include "registry/uploads.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "registry/blobs.h"
#include "registry/errors.h"

namespace krakend::registry {

namespace {

/// "0-<last byte>"; "0-0" while empty, as the reference has it (contract http-api §9.4).
std::string received_range(uint64_t size) {
  return fmt::format("0-{}", size == 0 ? 0 : size - 1);
}

void describe(http::Response& response, const UploadSession& session) {
  const std::string& id = session.upload->id();
  const uint64_t size = session.upload->size();
  // Clients append "&digest=" to the location, so it carries a query; the value is not read back.
  response.headers.set("Location", fmt::format("/v2/{}/blobs/uploads/{}?_state={}", session.name, id, size));
  response.headers.set("Range", received_range(size));
  response.headers.set("Docker-Upload-UUID", id);
}

http::Response session_response(int status, const UploadSession& session) {
  http::Response response;
  response.status = status;
  describe(response, session);
  if (status != 204) response.content_length = 0;
  return response;
}

http::Response blob_created(const std::string& name, const ContentDigest& digest) {
  http::Response response;
  response.status = 201;
  response.headers.set("Location", blob_location(name, digest));
  response.headers.set("Docker-Content-Digest", digest.str());
  response.content_length = 0;
  return response;
}

http::Response digest_invalid(std::string message, std::string_view digest_text) {
  return registry_error(400, code::digest_invalid, message, json_detail("Digest", digest_text));
}

/// The error of a `digest` parameter that cannot be used.
http::Response bad_digest_parameter(const std::optional<std::string>& text) {
  if (!text) return digest_invalid("the digest parameter is missing", "");
  return digest_invalid(ContentDigest::parse(*text).error().message, *text);
}

/// A chunk that does not begin where the upload ends: the client learns where it does.
http::Response out_of_order(const ChunkRange& chunk, const UploadSession& session) {
  http::Response response = registry_error(416, code::upload_invalid,
                                           fmt::format("the chunk begins at byte {}: the upload has {} bytes",
                                                       chunk.first, session.upload->size()));
  describe(response, session);
  return response;
}

http::Response wrong_chunk_length(const ChunkRange& chunk) {
  return registry_error(400, code::size_invalid,
                        fmt::format("the body has not the {} bytes that Content-Range says", chunk.length()));
}

struct Chunk {
  std::optional<ChunkRange> range;
  std::optional<http::Response> error;
};

/// Checks Content-Range, if there is one, against the session and the length of the body.
Chunk check_chunk(const http::Request& request, const UploadSession& session) {
  if (!request.headers.has("Content-Range")) return {};
  const std::string header(request.headers.get("Content-Range"));
  const auto range = parse_chunk_range(header);
  if (!range) {
    return {std::nullopt, registry_error(400, code::upload_invalid,
                                         fmt::format("Content-Range \"{}\" is not <first>-<last>", header))};
  }
  if (range->first != session.upload->size()) return {std::nullopt, out_of_order(*range, session)};
  const auto length = request.body->length();
  if (length && *length != range->length()) return {std::nullopt, wrong_chunk_length(*range)};
  return {range, std::nullopt};
}

}  // namespace

class UploadEndpoint::Lease {
 public:
  explicit Lease(UploadSessionPtr session) : session_(std::move(session)) {
    session_->busy = true;
    session_->touched = true;
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() { session_->busy = false; }

 private:
  UploadSessionPtr session_;
};

void UploadEndpoint::forget(const UploadSession& session) {
  const std::string& id = session.upload->id();
  by_age_.remove(id);
  sessions_.erase(id);
}

Task<Result<void>> UploadEndpoint::make_room() {
  if (sessions_.size() < options_.upload_sessions_max) co_return Result<void>{};
  const auto oldest = std::find_if(by_age_.begin(), by_age_.end(), [&](const std::string& id) {
    const auto found = sessions_.find(id);
    return found != sessions_.end() && !found->second->busy;
  });
  if (oldest == by_age_.end()) {
    co_return fail(Errc::unavailable, "{} uploads are in progress: no more at once", sessions_.size());
  }
  const UploadSessionPtr session = sessions_.find(*oldest)->second;
  log_.warn("too many uploads: dropping idle upload {} of {}", session->upload->id(), session->name);
  co_await cancel(session);
  co_return Result<void>{};
}

Task<Result<UploadSessionPtr>> UploadEndpoint::create(std::string name) {
  if (auto room = co_await make_room(); !room) co_return propagate(room);
  auto upload = co_await transfer_.create_upload(name);
  if (!upload) co_return propagate(upload);
  auto session = std::make_shared<UploadSession>();
  session->name = std::move(name);
  session->upload = std::move(*upload);
  remember(session);
  co_return session;
}

void UploadEndpoint::remember(UploadSessionPtr session) {
  const std::string& id = session->upload->id();
  by_age_.push_back(id);
  sessions_[id] = std::move(session);
}

void UploadEndpoint::adopt(std::vector<storage::KeptUpload> kept, const io::Clock& clock) {
  std::sort(kept.begin(), kept.end(), [](const auto& a, const auto& b) { return a.modified < b.modified; });
  for (storage::KeptUpload& found : kept) {
    auto session = std::make_shared<UploadSession>();
    session->name = std::move(found.owner);
    session->upload = std::move(found.upload);
    session->touched = false;
    session->used = clock.now() - std::max<Duration>(clock.wall() - found.modified, Duration::zero());
    remember(std::move(session));
  }
  if (!sessions_.empty())
    log_.info("{} unfinished uploads from before the start can go on", sessions_.size());
}

Task<std::optional<http::Response>> UploadEndpoint::mount(std::string name, std::string digest_text) {
  const auto named = ContentDigest::parse(digest_text);
  if (!named) co_return std::nullopt;
  auto digest = co_await aliases_.resolve(*named);
  if (!digest) co_return std::nullopt;
  // Blobs are shared by all repositories, so the source repository does not matter.
  auto size = co_await transfer_.stat(name, *digest);
  if (!size) co_return std::nullopt;
  co_return blob_created(name, *named);
}

Task<http::Response> UploadEndpoint::start(http::Request& request, std::string name) {
  if (const auto source = request.query_param("mount")) {
    if (auto mounted = co_await mount(name, *source)) co_return std::move(*mounted);
    // What cannot be mounted is uploaded: the client goes on by itself.
  }
  const auto digest = request.query_param("digest");
  if (digest && !ContentDigest::parse(*digest)) co_return bad_digest_parameter(digest);
  auto session = co_await create(name);
  if (!session) co_return transfer_error(session.error(), code::name_unknown);
  if (!digest) co_return session_response(202, **session);

  const Lease lease(*session);
  http::Response response = co_await finish(request, *session);
  // A client that sends everything at once does not know the session and could not go on with it.
  if (response.status != 201 && sessions_.contains((*session)->upload->id())) co_await cancel(*session);
  co_return response;
}

Task<http::Response> UploadEndpoint::handle(http::Request& request, std::string name, std::string id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end() || found->second->name != name) {
    co_return registry_error(404, code::upload_unknown,
                             fmt::format("no upload {} in repository {}", id, name));
  }
  const UploadSessionPtr session = found->second;
  if (session->busy) {
    co_return registry_error(
        409, code::upload_invalid,
        "another request is working on this upload: wait for its end or start a new upload");
  }
  const Lease lease(session);
  by_age_.remove(id);
  by_age_.push_back(id);
  if (request.method == "PATCH") co_return co_await patch(request, session);
  if (request.method == "PUT") co_return co_await finish(request, session);
  if (request.method == "DELETE") co_return co_await cancel(session);
  co_return session_response(204, *session);
}

Task<std::optional<http::Response>> UploadEndpoint::append(http::Request& request, UploadSessionPtr session) {
  const Chunk chunk = check_chunk(request, *session);
  if (chunk.error) co_return chunk.error;
  const uint64_t size = session->upload->size();
  uint64_t limit = options_.upload_size_max - std::min(options_.upload_size_max, size);
  if (chunk.range) limit = std::min(limit, chunk.range->length());
  if (request.body->length() == 0) co_return std::nullopt;

  const auto sink = session->upload->writer(size);
  auto received = co_await request.body->read_to(*sink, limit);
  if (!received) co_return co_await append_failed(received.error(), session, chunk.range);
  if (chunk.range && *received != chunk.range->length()) co_return wrong_chunk_length(*chunk.range);
  co_return std::nullopt;
}

Task<http::Response> UploadEndpoint::append_failed(Error error, UploadSessionPtr session,
                                                   std::optional<ChunkRange> chunk) {
  http::Response response;
  if (error.code == Errc::network || error.code == Errc::timeout || error.code == Errc::cancelled) {
    // The client may come back, ask how far it got, and go on.
    response = registry_error(400, code::size_invalid, error.message);
    describe(response, *session);
  } else if (error.code == Errc::too_large && chunk) {
    response = wrong_chunk_length(*chunk);
  } else if (error.code == Errc::too_large) {
    response = registry_error(413, code::size_invalid,
                              fmt::format("a blob has at most {} bytes here", options_.upload_size_max));
    co_await cancel(session);
  } else {
    log_.warn("upload {} of {}: {}", session->upload->id(), session->name, error.message);
    response = transfer_error(error, code::unknown);
    co_await cancel(session);
  }
  response.close = true;
  co_return response;
}

Task<http::Response> UploadEndpoint::patch(http::Request& request, UploadSessionPtr session) {
  if (auto failed = co_await append(request, session)) co_return std::move(*failed);
  co_return session_response(202, *session);
}

Task<http::Response> UploadEndpoint::finish(http::Request& request, UploadSessionPtr session) {
  const auto text = request.query_param("digest");
  if (!text) co_return bad_digest_parameter(text);
  const auto named = ContentDigest::parse(*text);
  if (!named) co_return bad_digest_parameter(text);
  if (auto failed = co_await append(request, session)) co_return std::move(*failed);

  const uint64_t size = session->upload->size();
  forget(*session);
  auto stored = co_await store(*session, *named);
  if (!stored && stored.error().code == Errc::corrupt) {
    log_.warn("upload of {} to {}: {}", named->str(), session->name, stored.error().message);
    co_return digest_invalid(stored.error().message, *text);
  }
  if (!stored) {
    log_.warn("upload of {} to {}: {}", named->str(), session->name, stored.error().message);
    co_return transfer_error(stored.error(), code::blob_unknown, json_quote(named->str()));
  }
  log_.info("pushed blob {} of {} bytes to {}", named->str(), size, session->name);
  co_return blob_created(session->name, *named);
}

Task<Result<void>> UploadEndpoint::store(const UploadSession& session, ContentDigest named) {
  const storage::UploadPtr upload = session.upload;
  if (named.sha256()) co_return co_await transfer_.put_blob(session.name, *named.sha256(), upload);
  auto computed = co_await upload->sha512();
  auto digest = co_await upload->digest();
  if (!computed || !digest || *computed != named) {
    co_await upload->discard();
    if (!computed) co_return propagate(computed);
    if (!digest) co_return propagate(digest);
    co_return fail(Errc::corrupt, "computed digest {} doesn't match expected value {}", computed->str(),
                   named.str());
  }
  auto stored = co_await transfer_.put_blob(session.name, *digest, upload);
  if (!stored) co_return stored;
  co_return co_await aliases_.put(named, *digest);
}

Task<http::Response> UploadEndpoint::cancel(UploadSessionPtr session) {
  forget(*session);
  co_await session->upload->discard();
  http::Response response;
  response.status = 204;
  response.headers.set("Docker-Upload-UUID", session->upload->id());
  co_return response;
}

Task<> UploadEndpoint::sweep(TimePoint now) {
  std::vector<UploadSessionPtr> idle;
  for (const auto& [id, session] : sessions_) {
    if (session->touched || session->busy) session->used = now;
    session->touched = false;
    if (now - session->used >= options_.upload_ttl) idle.push_back(session);
  }
  for (const UploadSessionPtr& session : idle) {
    if (session->busy || session->touched || !sessions_.contains(session->upload->id())) continue;
    co_await cancel(session);
    log_.info("dropped upload {} of {}: nobody has gone on with it for {:.0f} s", session->upload->id(),
              session->name, to_seconds(now - session->used));
  }
}

}  // namespace krakend::registry
