#include "roles/agent/backup_registry.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "krakend/core/hex.h"
#include "krakend/io/condition.h"

namespace krakend::agent {
namespace {

/// Between two reads, as the reference waits for a registry of the agent.
constexpr Duration idle_limit = 10min;
constexpr Duration total_limit = 6h;

constexpr std::array<std::string_view, 5> request_fields{"Accept", "Authorization", "Range", "If-None-Match",
                                                         "If-Range"};
/// Of one connection, or made anew for the client.
constexpr std::array<std::string_view, 6> own_fields{"Connection",     "Keep-Alive", "Transfer-Encoding",
                                                     "Content-Length", "Date",       "Server"};

bool failed_here(int status) {
  constexpr std::array<int, 5> statuses{404, 500, 502, 503, 504};
  return std::find(statuses.begin(), statuses.end(), status) != statuses.end();
}

bool is_blob(std::string_view path) {
  return path.find("/blobs/") != std::string_view::npos;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); });
  return text;
}

http::Response head_of(const http::ClientResponse& answer) {
  http::Response response;
  response.status = answer.status;
  for (const auto& [name, value] : answer.headers.fields()) {
    const std::string lowered = lower(name);
    const bool own = std::any_of(own_fields.begin(), own_fields.end(), [&lowered](std::string_view field) {
      return lower(std::string(field)) == lowered;
    });
    if (!own) response.headers.add(name, value);
  }
  return response;
}

std::optional<uint64_t> length_of(const http::ClientResponse& answer) {
  const auto text = answer.headers.get("Content-Length");
  uint64_t length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return length;
}

/// A file that a download fills. Loop thread.
class SpoolContent final : public io::Content {
 public:
  SpoolContent(io::Loop& loop, io::FilePtr file, uint64_t size)
      : file_(std::move(file)), size_(size), changed_(loop) {}
  ~SpoolContent() override { *abandoned = true; }
  uint64_t size() const override { return size_; }
  io::FilePtr file() const override { return file_; }
  Task<Result<uint64_t>> ready(uint64_t offset) override {
    while (true) {
      if (offset < arrived_) co_return arrived_;
      if (failure_) co_return fail(*failure_);
      co_await changed_.wait();
    }
  }
  void arrived(uint64_t bytes) {
    arrived_ += bytes;
    changed_.notify_all();
  }
  void end(Error error) {
    failure_ = std::move(error);
    changed_.notify_all();
  }
  /// Nobody wants the rest; any thread.
  const std::shared_ptr<std::atomic<bool>> abandoned = std::make_shared<std::atomic<bool>>(false);

 private:
  io::FilePtr file_;
  uint64_t size_;
  uint64_t arrived_ = 0;
  std::optional<Error> failure_;
  io::Condition changed_;
};

/// Writes on the client's thread and tells the content on the loop.
class SpoolSink final : public io::ByteSink {
 public:
  SpoolSink(io::Loop& loop, const std::shared_ptr<SpoolContent>& content)
      : loop_(loop),
        content_(content),
        abandoned_(content->abandoned),
        file_(content->file()),
        left_(content->size()) {}
  Result<void> write(std::span<const std::byte> data) override {
    if (*abandoned_) return fail(Errc::cancelled, "the client left");
    if (data.size() > left_) return fail(Errc::protocol, "the backup registry sends more than it announced");
    if (auto written = file_->write_at(offset_, data); !written) return written;
    offset_ += data.size();
    left_ -= data.size();
    loop_.post([content = content_, bytes = data.size()] {
      if (const auto there = content.lock()) there->arrived(bytes);
    });
    return {};
  }

 private:
  io::Loop& loop_;
  std::weak_ptr<SpoolContent> content_;
  std::shared_ptr<std::atomic<bool>> abandoned_;
  io::FilePtr file_;
  uint64_t offset_ = 0;
  uint64_t left_;
};

/// Counts a download while it runs.
struct Seat {
  explicit Seat(size_t& c) : count(c) { ++count; }
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;
  ~Seat() { --count; }
  size_t& count;
};

Task<> download(http::Client& client, http::ClientRequest call, std::unique_ptr<SpoolSink> sink,
                std::weak_ptr<SpoolContent> content, std::unique_ptr<Seat> /*seat*/) {
  call.sink = sink.get();
  auto answer = co_await client.send(std::move(call));
  const auto waiting = content.lock();
  if (!waiting) co_return;
  if (!answer) {
    waiting->end(std::move(answer.error()));
  } else {
    // All bytes have arrived by now, or never will.
    waiting->end(
        Error{Errc::network,
              fmt::format("the backup registry answered {} and less than it announced", answer->status)});
  }
}

/// A file without a name. Pool.
Result<io::FilePtr> make_spool(io::Disk& disk, const std::string& path, uint64_t size) {
  auto file = disk.open(path, io::OpenMode::create_new);
  if (!file) return file;
  if (auto gone = disk.remove(path); !gone) return propagate(gone);
  if (auto there = (*file)->allocate(size); !there) return propagate(there);
  return file;
}

}  // namespace

BackupRegistry::BackupRegistry(Services services, io::Address address, std::string spool_dir, Logger log)
    : services_(services),
      address_(std::move(address)),
      spool_dir_(std::move(spool_dir)),
      log_(std::move(log)) {}

Task<http::Response> BackupRegistry::answer(http::Request& request, Handle local) {
  auto response = co_await local(request);
  if (request.method != "GET" && request.method != "HEAD") co_return response;
  if (!failed_here(response.status)) co_return response;
  co_return co_await replay(request);
}

http::ClientRequest BackupRegistry::call_for(const http::Request& request) const {
  http::ClientRequest call;
  call.method = request.method;
  call.host = address_;
  call.target = request.target;
  for (const auto name : request_fields) {
    if (request.headers.has(name)) call.headers.add(std::string(name), request.headers.joined(name));
  }
  call.idle_timeout = idle_limit;
  call.total_timeout = total_limit;
  return call;
}

http::Response BackupRegistry::unreachable(const Error& error) const {
  log_.warn("backup registry: {}", error.message);
  const nlohmann::json body{{"errors",
                             {{{"code", "UNAVAILABLE"},
                               {"message", "not here, and the backup registry failed: " + error.message}}}}};
  return http::json_response(error.code == Errc::timeout ? 504 : 502, body.dump());
}

Task<http::Response> BackupRegistry::replay(const http::Request& request) {
  log_.debug("{} {} goes to the backup registry", request.method, request.target);
  auto call = call_for(request);
  if (request.method == "GET" && is_blob(request.path)) co_return co_await relay_blob(std::move(call));
  co_return co_await relay_text(std::move(call));
}

Task<http::Response> BackupRegistry::relay_text(http::ClientRequest call) {
  auto answer = co_await services_.client.send(std::move(call));
  if (!answer) co_return unreachable(answer.error());
  auto response = head_of(*answer);
  response.content_length = length_of(*answer);
  if (!answer->body.empty()) response.body = std::move(answer->body);
  co_return response;
}

std::string BackupRegistry::spool_path() {
  return fmt::format("{}/backup-{:016x}", spool_dir_, services_.random.next());
}

/// Asks for the size first: a response begins before its body has arrived.
Task<http::Response> BackupRegistry::relay_blob(http::ClientRequest call) {
  if (downloads_ >= max_downloads) {
    auto busy = http::text_response(503, "too many blobs are being fetched from the backup registry\n");
    busy.headers.add("Retry-After", "1");
    co_return busy;
  }
  auto seat = std::make_unique<Seat>(downloads_);
  auto question = call;
  question.method = "HEAD";
  auto head = co_await services_.client.send(std::move(question));
  if (!head) co_return unreachable(head.error());
  const auto size = length_of(*head);
  if ((head->status != 200 && head->status != 206) || !size || *size == 0)
    co_return co_await relay_text(std::move(call));
  const std::string path = spool_path();
  auto spool = co_await services_.loop.offload([&, this] { return make_spool(services_.disk, path, *size); });
  if (!spool) co_return http::error_response(spool.error());
  const auto content = std::make_shared<SpoolContent>(services_.loop, std::move(*spool), *size);
  auto sink = std::make_unique<SpoolSink>(services_.loop, content);
  services_.tasks.spawn(
      download(services_.client, std::move(call), std::move(sink), content, std::move(seat)),
      "backup registry");
  auto response = head_of(*head);
  response.headers.set("X-Krakend-Source", "backup");
  response.body = http::ContentRange{content, 0, *size};
  co_return response;
}

}  // namespace krakend::agent
