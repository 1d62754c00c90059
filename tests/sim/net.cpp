#include "sim/net.h"

#include <algorithm>
#include <utility>

#include "krakend/core/hash.h"
#include "krakend/core/hex.h"
#include "sim/network_impl.h"
#include "support/slice_file.h"

namespace krakend::sim {
namespace {

/// SYN is sent again after this, then after twice as long, and so on.
constexpr Duration first_retry = 1s;
/// Of a file: its task is not woken for less, though the socket takes it bit by bit.
constexpr uint64_t read_ahead = 4 * MiB;

/// The CRC-32 of bytes that come as runs: those of something synthetic need not be looked at one by one.
class RunningSum {
 public:
  void add(const test::Slice& slice) {
    const bool goes_on = run_.length > 0 && run_.synthetic == slice.synthetic && slice.synthetic &&
                         run_.offset + run_.length == slice.offset;
    if (goes_on) {
      run_.length += slice.length;
      return;
    }
    flush();
    run_ = slice;
  }
  uint32_t sum() {
    flush();
    return sum_;
  }

 private:
  void flush() {
    if (run_.length == 0) return;
    if (run_.synthetic && empty_)
      sum_ = run_.synthetic->crc(run_.offset, run_.length);
    else
      (void)test::for_each_part(run_, [this](auto part) {
        sum_ = crc32(sum_, part);
        return Result<void>{};
      });
    empty_ = false;
    run_ = {};
  }
  test::Slice run_;
  uint32_t sum_ = 0;
  bool empty_ = true;
};

Result<void> put(io::File& file, uint64_t offset, const test::Slice& slice) {
  if (auto* slices = dynamic_cast<test::SliceFile*>(&file)) return slices->write_slice(offset, slice);
  return test::for_each_part(slice, [&](auto part) {
    auto written = file.write_at(offset, part);
    offset += part.size();
    return written;
  });
}

Result<void> feed(io::ByteSink& sink, const test::Slice& slice) {
  if (auto* slices = dynamic_cast<test::SliceSink*>(&sink)) return slices->write_slice(slice);
  return test::for_each_part(slice, [&](auto part) { return sink.write(part); });
}

Result<std::vector<test::Slice>> get(io::File& file, uint64_t offset, uint64_t length) {
  if (auto* slices = dynamic_cast<test::SliceFile*>(&file)) return slices->read_slices(offset, length);
  std::string text(length, '\0');
  auto got = file.read_at(offset, std::as_writable_bytes(std::span<char>(text)));
  if (!got) return propagate(got);
  if (*got < length) return fail(Errc::io, "the file ends at byte {}", offset + *got);
  return std::vector<test::Slice>{{nullptr, std::make_shared<const std::string>(std::move(text)), 0, length}};
}

}  // namespace

class SimListener final : public io::Listener {
 public:
  SimListener(Network& network, HostId host, std::shared_ptr<Network::Port> port)
      : network_(network), host_(host), port_(std::move(port)) {}
  SimListener(const SimListener&) = delete;
  SimListener& operator=(const SimListener&) = delete;
  ~SimListener() override { SimListener::close(); }

  Task<Result<io::StreamPtr>> accept() override { return accept_on(port_); }
  const io::Address& local() const override { return port_->local; }
  void close() noexcept override {
    if (std::exchange(port_->closed, true)) return;
    network_.hosts_[host_].ports.erase(port_->local.port);
    port_->waiting.clear();
    port_->arrived.notify_all();
  }

 private:
  static Task<Result<io::StreamPtr>> accept_on(std::shared_ptr<Network::Port> port) {
    while (!port->closed) {
      if (!port->waiting.empty()) {
        auto stream = std::move(port->waiting.front());
        port->waiting.pop_front();
        co_return stream;
      }
      co_await port->arrived.wait();
    }
    co_return fail(Errc::cancelled, "listener on {} was closed", port->local.str());
  }

  Network& network_;
  const HostId host_;
  std::shared_ptr<Network::Port> port_;
};

SimStream::SimStream(Network& network, Network::Link& link, int side)
    : network_(network),
      link_(link),
      side_(side),
      peer_(link.address[static_cast<size_t>(1 - side)]),
      local_(link.address[static_cast<size_t>(side)]) {
  end().held = true;
  network_.count_connection(out().from, 1);
}

SimStream::~SimStream() {
  network_.let_go(link_, side_);
}

tl::unexpected<Error> SimStream::shut_error(const char* what) const {
  return fail(Errc::cancelled, "{} {}: connection was shut down", what, peer_.str());
}

std::optional<Result<void>> SimStream::readable() {
  if (end().shut) return shut_error("read from");
  if (end().broken) return fail(Errc::network, "read from {}: connection reset by peer", peer_.str());
  if (in().inbox_bytes > 0 || in().end_arrived) return Result<void>{};
  return std::nullopt;
}

/// The bytes of one receive_file(). It lives in the task that waits for them.
class FileTaker final : public Taker {
 public:
  FileTaker(SimStream& stream, io::File& file, uint64_t offset, uint64_t length, io::ByteSink* tap)
      : stream_(stream), file_(file), offset_(offset), left_(length), tap_(tap) {
    stream_.in().taker = this;
  }
  FileTaker(const FileTaker&) = delete;
  FileTaker& operator=(const FileTaker&) = delete;
  ~FileTaker() override { stream_.in().taker = nullptr; }

  bool take() override {
    while (failure_ && left_ > 0 && stream_.in().inbox_bytes > 0) {
      const auto slice = stream_.take(left_);
      sum_.add(slice);
      left_ -= slice.length;
      failure_ = put(file_, offset_, slice);
      if (!failure_) break;
      if (tap_ != nullptr) (void)tap_->write_from(file_, offset_, slice.length);
      offset_ += slice.length;
    }
    return failure_ && left_ > 0;
  }
  Result<uint32_t> outcome() {
    if (!failure_) return tl::unexpected<Error>(failure_.error());
    return sum_.sum();
  }

 private:
  SimStream& stream_;
  io::File& file_;
  uint64_t offset_;
  uint64_t left_;
  io::ByteSink* const tap_;
  RunningSum sum_;
  Result<void> failure_;
};

/// What one read_into() reads. It lives in the task that waits for it.
class ReaderTaker final : public Taker {
 public:
  ReaderTaker(SimStream& stream, io::Reader& reader) : stream_(stream), reader_(reader) {
    stream_.in().taker = this;
  }
  ReaderTaker(const ReaderTaker&) = delete;
  ReaderTaker& operator=(const ReaderTaker&) = delete;
  ~ReaderTaker() override { stream_.in().taker = nullptr; }

  bool take() override {
    while (wants_more_) {
      auto got = stream_.read_now(reader_.space());
      if (!got) break;
      wants_more_ = reader_.took(std::move(*got));
    }
    return wants_more_;
  }
  void prepare() const override {
    fetch(&stream_, sizeof stream_);
    fetch(&reader_, reader_size);
  }

 private:
  static constexpr size_t reader_size = 192;  ///< roughly

  SimStream& stream_;
  io::Reader& reader_;
  bool wants_more_ = true;
};

Task<Result<void>> SimStream::wait_accepted() {
  while (true) {
    if (end().shut) co_return shut_error("send to");
    if (end().broken) co_return fail(Errc::network, "send to {}: connection reset by peer", peer_.str());
    if (unaccepted() == 0) co_return Result<void>{};
    co_await wait_writable();
  }
}

Task<> SimStream::wait_writable() {
  out().writer_waits = true;
  return out().writable.wait();
}

std::optional<Result<uint64_t>> SimStream::writable() {
  const uint64_t most = network_.send_buffer_of(out());
  if (end().shut) return shut_error("write to");
  if (end().broken) return fail(Errc::network, "write to {}: connection reset by peer", peer_.str());
  if (out().queued < most) return most - out().queued;
  return std::nullopt;
}

/// The next bytes of the inbox, one run of at most `max`.
test::Slice SimStream::take(uint64_t max) {
  const test::Slice& first = in().inbox.front();
  auto part = first.part(0, std::min(max, first.length));
  drop(part.length);
  return part;
}

/// From the first run of the inbox.
void SimStream::drop(uint64_t size) {
  auto& pipe = in();
  if (!pipe.inbox.front().skip(size)) pipe.inbox.pop_front();
  pipe.inbox_bytes -= size;
  received_ += size;
  network_.consumed(pipe, size);
}

Task<Result<size_t>> SimStream::read_some(std::span<std::byte> out) {
  const auto self = shared_from_this();
  while (true) {
    if (auto got = read_now(out)) co_return std::move(*got);
    co_await in().readable.wait();
  }
}

/// Most tasks of a swarm wait in here.
Task<> SimStream::read_into(io::Reader& reader) {
  const auto self = shared_from_this();
  ReaderTaker taker(*this, reader);
  while (taker.take()) co_await in().readable.wait();
}

std::optional<Result<size_t>> SimStream::read_now(std::span<std::byte> out) {
  auto ready = readable();
  if (!ready) return std::nullopt;
  if (!*ready) return propagate(*ready);
  size_t done = 0;
  while (done < out.size() && in().inbox_bytes > 0) {
    const test::Slice& first = in().inbox.front();
    const uint64_t size = std::min<uint64_t>(out.size() - done, first.length);
    first.read(0, out.subspan(done, size));
    drop(size);
    done += size;
  }
  return done;
}

Task<Result<void>> SimStream::write(std::span<const std::byte> data, bool /*more*/) {
  const auto self = shared_from_this();
  if (end().shut) co_return shut_error("write to");
  while (!data.empty()) {
    std::optional<Result<uint64_t>> room;
    while (!(room = writable())) co_await wait_writable();
    if (!*room) co_return propagate(*room);
    data = data.subspan(write_now(data));
  }
  co_return Result<void>{};
}

size_t SimStream::write_now(std::span<const std::byte> data) {
  const auto room = writable();
  if (!room || !*room) return 0;
  const auto part = data.first(std::min<uint64_t>(**room, data.size()));
  sent_ += part.size();
  network_.queue(out(), {nullptr, std::make_shared<const std::string>(as_text(part)), 0, part.size()});
  return part.size();
}

Task<Result<uint64_t>> SimStream::receive(io::ByteSink& sink, uint64_t max) {
  const auto self = shared_from_this();
  std::optional<Result<void>> ready;
  while (!(ready = readable())) co_await in().readable.wait();
  if (!*ready) co_return propagate(*ready);
  uint64_t moved = 0;
  while (moved < max && in().inbox_bytes > 0) {
    const auto slice = take(max - moved);
    moved += slice.length;
    if (auto fed = feed(sink, slice); !fed) co_return propagate(fed);
  }
  co_return moved;
}

Task<Result<uint32_t>> SimStream::receive_file(io::FilePtr file, uint64_t offset, uint64_t length,
                                               io::ByteSink* tap) {
  const auto self = shared_from_this();
  if (end().shut) co_return shut_error("read from");
  FileTaker taker(*this, *file, offset, length, tap);
  while (taker.take()) {
    if (end().broken) co_return fail(Errc::network, "read from {}: connection reset by peer", peer_.str());
    if (in().end_arrived)
      co_return fail(Errc::network, "{} closed the connection in the middle of a transfer", peer_.str());
    co_await in().readable.wait();
    if (end().shut) co_return shut_error("read from");
  }
  co_return taker.outcome();
}

Task<Result<void>> SimStream::send_file(io::FilePtr file, uint64_t offset, uint64_t length) {
  const auto self = shared_from_this();
  if (end().shut) co_return shut_error("send to");
  while (length > 0) {
    const uint64_t part = std::min(read_ahead, length);
    auto slices = get(*file, offset, part);
    if (!slices) co_return propagate(slices);
    sent_ += part;
    for (auto& slice : *slices) network_.queue(out(), std::move(slice));
    auto accepted = co_await wait_accepted();
    if (!accepted) co_return propagate(accepted);
    offset += part;
    length -= part;
  }
  co_return Result<void>{};
}

void SimStream::shutdown() noexcept {
  network_.shut(link_, side_, false);
}

SimNet::SimNet(Network& network, HostId host)
    : network_(network), host_(host), life_(network.hosts_[host].life) {}

std::unique_ptr<io::Net> Network::attach(HostId host) {
  return std::make_unique<SimNet>(*this, host);
}

bool SimNet::alive() const {
  return network_.hosts_[host_].life == life_ && network_.hosts_[host_].up;
}

Task<Result<io::StreamPtr>> SimNet::connect(const io::Address& to, Duration timeout) {
  return dial(to, timeout);
}

Task<Result<io::StreamPtr>> SimNet::dial(io::Address to, Duration timeout) {
  Timeline& time = network_.time_;
  SimClock clock(time);
  const TimePoint deadline = time.now() + timeout;
  const HostId target = network_.find(host_, to.host);
  if (target >= network_.hosts_.size()) co_return fail(Errc::network, "connect {}: no such host", to.str());
  ++network_.hosts_[host_].counters.dials;
  for (Duration retry = first_retry;; retry *= 2) {
    const Duration there = network_.latency(host_, target);
    if (!alive()) co_return fail(Errc::network, "connect {}: network is unreachable", to.str());
    const bool answers = network_.reaches(host_, target) && network_.reaches(target, host_);
    if (answers && time.now() + there <= deadline) {
      co_await clock.sleep(there);
      co_return co_await answer(target, to);
    }
    const Duration left = deadline - time.now();
    co_await clock.sleep(std::min(retry, left));
    if (time.now() >= deadline) co_return fail(Errc::timeout, "connect {}: no answer in time", to.str());
  }
}

/// The dial has come there: what it says, and the way back.
Task<Result<io::StreamPtr>> SimNet::answer(HostId target, io::Address to) {
  SimClock clock(network_.time_);
  auto& remote = network_.hosts_[target];
  const auto found = remote.ports.find(to.port);
  const bool refused =
      found == remote.ports.end() || found->second->waiting.size() >= network_.options_.backlog;
  const std::shared_ptr<Network::Port> port = refused ? nullptr : found->second;
  const Duration back = network_.latency(target, host_);
  co_await clock.sleep(back);
  network_.trace_.add(network_.time_.elapsed(), refused ? Trace::Kind::refused : Trace::Kind::dial, host_,
                      target, to.port);
  if (!alive()) co_return fail(Errc::network, "connect {}: network is unreachable", to.str());
  if (refused) co_return fail(Errc::network, "connect {}: connection refused", to.str());
  auto& own = network_.hosts_[host_];
  const std::string to_ip = to.host == "localhost" ? "127.0.0.1" : to.host;
  const std::string own_ip = host_ == target ? to_ip : own.options.ip;
  auto& link = network_.make_link(host_, {own_ip, network_.free_port(own)}, target, {to_ip, to.port});
  auto opened = std::make_shared<SimStream>(network_, link, 0);
  // The other side learns of it with the last step of the handshake, before anything that is said on it.
  auto accepted = std::make_shared<SimStream>(network_, link, 1);
  if (port->closed) {
    accepted.reset();
  } else {
    port->waiting.push_back(std::move(accepted));
    port->arrived.notify_all();
  }
  co_return io::StreamPtr(std::move(opened));
}

Result<std::unique_ptr<io::Listener>> SimNet::listen(const io::Address& at) {
  auto& host = network_.hosts_[host_];
  if (!alive()) return fail(Errc::network, "listen on {}: the network is gone", at.str());
  io::Address local = at;
  if (local.port == 0) local.port = network_.free_port(host);
  auto& port = host.ports[local.port];
  if (port) {
    return fail(Errc::unavailable, "address {} is in use: stop the other process or choose another port",
                at.str());
  }
  port = std::make_shared<Network::Port>(network_.time_.loop(), local);
  return std::unique_ptr<io::Listener>(std::make_unique<SimListener>(network_, host_, port));
}

Task<Result<std::vector<std::string>>> SimNet::resolve(std::string host, Duration /*timeout*/) {
  if (const auto named = network_.names_.find(host); named != network_.names_.end()) co_return named->second;
  if (network_.find(host_, host) >= network_.hosts_.size())
    co_return fail(Errc::network, "{}: no such host", host);
  co_return std::vector<std::string>{host == "localhost" ? "127.0.0.1" : host};
}

}  // namespace krakend::sim
