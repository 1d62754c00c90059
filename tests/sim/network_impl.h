#pragma once

#include <optional>

#include "sim/fifo.h"
#include "sim/network.h"

namespace krakend::sim {

/// Takes what arrives at once, without its task being woken for each chunk.
class Taker {
 public:
  virtual ~Taker() = default;
  /// False: the task has to be woken, because there is all it waits for, or something went wrong.
  virtual bool take() = 0;
  /// It is about to be called.
  virtual void prepare() const {}
};

/// One direction of a connection.
struct Network::Pipe {
  Pipe(Network& n, Link& l, int s, HostId sender, HostId receiver)
      : network(n),
        link(l),
        side(s),
        from(sender),
        to(receiver),
        readable(n.time_.loop()),
        writable(n.time_.loop()) {}
  // What is looked at for every message stands together: each line is a cache miss.
  Network& network;
  Link& link;
  const int side;  ///< of the link's ends, the one that sends
  const HostId from;
  const HostId to;
  bool in_line = false;
  bool end_wanted = false;
  bool end_sent = false;
  bool end_arrived = false;
  bool closed = false;  ///< the reader is gone, and the writer knows
  bool stalled = false;
  bool writer_waits = false;
  uint64_t queued = 0;
  uint64_t inbox_bytes = 0;
  uint64_t unread = 0;  ///< sent and not read
  size_t across = 0;    ///< of the chunks, those in the receiver's line
  TimePoint last_arrival{};
  TimePoint last_delivery{};
  Taker* taker = nullptr;  ///< the reader's
  Fifo<uint64_t> chunks;   ///< sizes of what is on the wire; 0: the end
  io::Condition readable;
  Fifo<test::Slice> wire;  ///< sent, not delivered
  Fifo<test::Slice> inbox;
  Fifo<test::Slice> queue;  ///< accepted, not sent
  io::Condition writable;
};

struct Network::Link {
  Link(Network& network, uint64_t number, HostId opener, HostId acceptor)
      : id(number),
        pipes{Pipe(network, *this, 0, opener, acceptor), Pipe(network, *this, 1, acceptor, opener)} {}
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  struct End {
    bool shut = false;      ///< by its owner, or it died
    bool vanished = false;  ///< it died without a word
    bool broken = false;    ///< the other side has reset the connection
    bool held = false;      ///< a stream object refers to it
  };
  const uint64_t id;
  std::array<End, 2> ends;
  unsigned pending = 0;  ///< events that refer to this link
  std::array<Pipe, 2> pipes;
  std::array<io::Address, 2> address;
};

/// At that moment, with the pipe. There is an event for each message, so it is not a closure: those live
/// elsewhere, and to look one up again is a cache miss.
template <void (Network::*step)(Network::Pipe&)>
void Network::later(TimePoint when, Pipe& pipe) {
  static constexpr Timeline::Kind kind{[](void* what) {
                                         Pipe& its = *static_cast<Pipe*>(what);
                                         --its.link.pending;
                                         (its.network.*step)(its);
                                       },
                                       &Network::prepare};
  ++pipe.link.pending;
  time_.happen_at(when, kind, &pipe);
}

/// That memory will be used soon.
inline void fetch(const void* memory, size_t size) {
  constexpr size_t line = 64;
  for (size_t at = 0; at < size; at += line) __builtin_prefetch(static_cast<const char*>(memory) + at);
}

struct Network::Port {
  Port(io::Loop& loop, io::Address a) : local(std::move(a)), arrived(loop) {}
  io::Address local;
  std::deque<io::StreamPtr> waiting;
  io::Condition arrived;
  bool closed = false;
};

class FileTaker;
class ReaderTaker;

class SimStream final : public io::Stream, public std::enable_shared_from_this<SimStream> {
 public:
  SimStream(Network& network, Network::Link& link, int side);
  ~SimStream() override;
  SimStream(const SimStream&) = delete;
  SimStream& operator=(const SimStream&) = delete;

  Task<Result<size_t>> read_some(std::span<std::byte> out) override;
  std::optional<Result<size_t>> read_now(std::span<std::byte> out) override;
  Task<> read_into(io::Reader& reader) override;
  Task<Result<void>> write(std::span<const std::byte> data, bool more) override;
  size_t write_now(std::span<const std::byte> data) override;
  Task<Result<uint64_t>> receive(io::ByteSink& sink, uint64_t max) override;
  Task<Result<uint32_t>> receive_file(io::FilePtr file, uint64_t offset, uint64_t length,
                                      io::ByteSink* tap) override;
  Task<Result<void>> send_file(io::FilePtr file, uint64_t offset, uint64_t length) override;
  void shutdown() noexcept override;
  uint64_t bytes_received() const override {
    return received_ + link_.pipes[static_cast<size_t>(1 - side_)].inbox_bytes;
  }
  uint64_t bytes_sent() const override { return sent_ - unaccepted(); }
  const io::Address& peer() const override { return peer_; }
  const io::Address& local() const override { return local_; }

 private:
  friend class FileTaker;
  friend class ReaderTaker;
  Network::Link::End& end() { return link_.ends[static_cast<size_t>(side_)]; }
  Network::Pipe& out() { return link_.pipes[static_cast<size_t>(side_)]; }
  Network::Pipe& in() { return link_.pipes[static_cast<size_t>(1 - side_)]; }
  /// Bytes that are queued beyond what a socket takes.
  uint64_t unaccepted() const {
    const auto& pipe = link_.pipes[static_cast<size_t>(side_)];
    return pipe.queued - std::min(pipe.queued, network_.send_buffer_of(pipe));
  }
  /// Until all that is queued has been accepted.
  Task<Result<void>> wait_accepted();
  /// Bytes are there, or the end is; nullopt: neither yet.
  std::optional<Result<void>> readable();
  Task<> wait_writable();
  /// How much may be written; nullopt: nothing yet.
  std::optional<Result<uint64_t>> writable();
  test::Slice take(uint64_t max);
  void drop(uint64_t size);
  tl::unexpected<Error> shut_error(const char* what) const;

  Network& network_;
  Network::Link& link_;
  const int side_;
  uint64_t received_ = 0;
  uint64_t sent_ = 0;
  const io::Address peer_;
  const io::Address local_;
};

}  // namespace krakend::sim
