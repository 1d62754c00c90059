#include "sim/network.h"

#include <algorithm>
#include <utility>

#include "sim/network_impl.h"

namespace krakend::sim {
namespace {

Duration transfer_time(uint64_t bytes, uint64_t rate) {
  if (rate == 0) return Duration{0};
  return Duration{static_cast<int64_t>(static_cast<double>(bytes) * 1e9 / static_cast<double>(rate))};
}

}  // namespace

Network::Network(Timeline& time, io::Random& random, Trace& trace, NetworkOptions options)
    : time_(time), random_(random), trace_(trace), options_(std::move(options)) {}
Network::~Network() = default;

HostId Network::add_host(HostOptions options) {
  const auto id = static_cast<HostId>(hosts_.size());
  by_ip_[options.ip] = id;
  Host host;
  host.options = std::move(options);
  hosts_.push_back(std::move(host));
  return id;
}

HostId Network::find(HostId self, const std::string& ip) const {
  constexpr auto nobody = ~HostId{0};
  if (ip.starts_with("127.") || ip == "localhost") return self;
  const auto found = by_ip_.find(ip);
  return found == by_ip_.end() ? nobody : found->second;
}

Duration Network::latency(HostId from, HostId to) {
  if (from == to) return options_.loopback;
  const auto at = [](const auto& row, unsigned zone) { return row[std::min<size_t>(zone, row.size() - 1)]; };
  const Duration base = at(at(options_.latency, hosts_[from].options.zone), hosts_[to].options.zone);
  const double spread = 1 + options_.jitter * random_.unit();
  return Duration{static_cast<int64_t>(static_cast<double>(base.count()) * spread)};
}

uint16_t Network::free_port(Host& host) {
  constexpr uint16_t first = 32768;
  while (host.ports.contains(host.next_port) || host.next_port < first) ++host.next_port;
  return host.next_port++;
}

Network::Link& Network::make_link(HostId from, io::Address local, HostId to, io::Address remote) {
  const uint64_t id = ++last_link_;
  auto link = std::make_unique<Link>(*this, id, from, to);
  link->address = {std::move(local), std::move(remote)};
  return *(links_[id] = std::move(link));
}

void Network::count_connection(HostId host, int by) {
  Counters& counters = hosts_[host].counters;
  counters.connections += static_cast<uint64_t>(by);
  counters.most_connections = std::max(counters.most_connections, counters.connections);
}

bool Network::inside(const Pipe& pipe) const {
  return pipe.from == pipe.to;
}

bool Network::can_send(const Pipe& pipe) const {
  if (pipe.end_sent || pipe.stalled) return false;
  if (pipe.queued > 0) return pipe.unread < window_of(pipe);
  return pipe.end_wanted;
}

/// A message is handled in a few microseconds, and half of them would be spent waiting for the memory of a
/// connection that nobody has looked at for a while.
void Network::prepare(const void* what, size_t before) {
  const Pipe& pipe = *static_cast<const Pipe*>(what);
  if (before == 2) {
    fetch(&pipe, sizeof pipe);
  } else if (before == 1) {
    fetch(&pipe.link, 64);
    fetch(pipe.taker, 64);
    if (!pipe.wire.empty()) fetch(pipe.wire.front().text.get(), 64);
  } else if (pipe.taker != nullptr) {
    pipe.taker->prepare();
  }
}

void Network::queue(Pipe& pipe, test::Slice slice) {
  if (try_express(pipe, slice)) return;
  pipe.queued += slice.length;
  pipe.queue.push_back(std::move(slice));
  wake(pipe);
}

/// A small message on a connection where nothing else is on its way goes at once.
bool Network::try_express(Pipe& pipe, test::Slice& slice) {
  if (pipe.queued > 0 || slice.length > options_.express || pipe.end_sent || pipe.stalled || pipe.in_line ||
      pipe.unread + slice.length > window_of(pipe))
    return false;
  for (size_t i = 0; i < pipe.chunks.size(); ++i) {
    if (pipe.chunks[i] > options_.express) return false;
  }
  const uint64_t size = slice.length;
  pipe.unread += size;
  pipe.chunks.push_back(size);
  pipe.wire.push_back(std::move(slice));
  depart(pipe, size);
  return true;
}

/// The pipe may have something to send now.
void Network::wake(Pipe& pipe) {
  if (pipe.in_line || !can_send(pipe)) return;
  pipe.in_line = true;
  hosts_[pipe.from].line.push_back(&pipe);
  pump(pipe.from);
}

/// Moves the next chunk of the pipe to the wire; its size.
uint64_t Network::take_chunk(Pipe& pipe) {
  uint64_t left = std::min(chunk_of(pipe), window_of(pipe) - std::min(pipe.unread, window_of(pipe)));
  uint64_t size = 0;
  while (left > 0 && !pipe.queue.empty()) {
    test::Slice& first = pipe.queue.front();
    const uint64_t part = std::min(left, first.length);
    size += part;
    left -= part;
    if (part == first.length) {
      pipe.wire.push_back(std::move(first));
      pipe.queue.pop_front();
    } else {
      pipe.wire.push_back(first.part(0, part));
      (void)first.skip(part);
    }
  }
  pipe.queued -= size;
  pipe.unread += size;
  pipe.chunks.push_back(size);
  return size;
}

/// The host's line out is free: the next connection's turn.
void Network::pump(HostId id) {
  Host& host = hosts_[id];
  if (std::exchange(host.pumping, true)) return;
  while (!host.sending && !host.line.empty()) {
    Pipe& pipe = *host.line.front();
    host.line.pop_front();
    pipe.in_line = false;
    if (!can_send(pipe)) continue;
    if (pipe.queued == 0) {
      send_end(pipe);
      continue;
    }
    const uint64_t size = take_chunk(pipe);
    const Duration takes = pipe.from == pipe.to ? Duration{0} : transfer_time(size, host.options.egress);
    if (takes == Duration{0}) {
      depart(pipe, size);
      continue;
    }
    host.sending = true;
    later<&Network::sent>(time_.now() + takes, pipe);
  }
  host.pumping = false;
}

/// The line out is free again.
void Network::sent(Pipe& pipe) {
  const HostId from = pipe.from;
  hosts_[from].sending = false;
  if (pipe.chunks.empty())
    settle(pipe.link);  // it was reset meanwhile
  else
    depart(pipe, pipe.chunks.back());
  pump(from);
}

/// The last bytes have left.
void Network::depart(Pipe& pipe, uint64_t size) {
  if (pipe.from != pipe.to) hosts_[pipe.from].counters.sent += size;
  if (pipe.writer_waits && pipe.queued <= send_buffer_of(pipe)) {
    pipe.writer_waits = false;
    pipe.writable.notify_all();
  }
  Duration takes = latency(pipe.from, pipe.to);
  if (options_.stall_chance > 0 && random_.unit() < options_.stall_chance) takes += options_.stall;
  pipe.last_arrival = std::max(pipe.last_arrival, time_.now() + takes);
  later<&Network::arrive>(pipe.last_arrival, pipe);
  wake(pipe);
}

void Network::send_end(Pipe& pipe) {
  pipe.end_sent = true;
  pipe.chunks.push_back(0);
  depart(pipe, 0);
}

/// The next chunk on the wire has come across. Where nobody is there to take it, it stays there.
void Network::arrive(Pipe& pipe) {
  Link& link = pipe.link;
  const auto receiver = link.ends[static_cast<size_t>(1 - pipe.side)];
  if (pipe.across >= pipe.chunks.size()) return settle(link);  // it was reset meanwhile
  if (!reaches(pipe.from, pipe.to)) {
    if (!std::exchange(pipe.stalled, true)) stalled_.emplace_back(link.id, pipe.side);
    return settle(link);
  }
  const uint64_t size = pipe.chunks[pipe.across];
  const bool breaks = options_.reset_chance > 0 && random_.unit() < options_.reset_chance;
  if (receiver.vanished || (receiver.shut && size > 0) || breaks) {
    reset(link, pipe.side);
    if (breaks) reset(link, 1 - pipe.side);
    return settle(link);
  }
  take_in(pipe, size);
}

/// Through the receiver's line in, behind what came before.
void Network::take_in(Pipe& pipe, uint64_t size) {
  Host& host = hosts_[pipe.to];
  const bool first = pipe.across++ == 0;
  TimePoint done = time_.now();
  if (pipe.from != pipe.to && size > options_.express) {
    host.in_free = std::max(host.in_free, done) + transfer_time(size, host.options.ingress);
    done = host.in_free;
  }
  pipe.last_delivery = std::max(pipe.last_delivery, done);
  if (first && pipe.last_delivery <= time_.now()) return deliver(pipe);
  later<&Network::deliver>(pipe.last_delivery, pipe);
}

void Network::deliver(Pipe& pipe) {
  if (pipe.across == 0) return settle(pipe.link);  // it was reset meanwhile
  const uint64_t size = pipe.chunks.front();
  pipe.chunks.pop_front();
  --pipe.across;
  trace_.add(time_.elapsed(), Trace::Kind::message, pipe.to, pipe.from, size);
  if (size == 0) pipe.end_arrived = true;
  if (pipe.from != pipe.to) hosts_[pipe.to].counters.received += size;
  for (uint64_t left = size; left > 0;) {
    test::Slice slice = std::move(pipe.wire.front());
    pipe.wire.pop_front();
    left -= slice.length;
    pipe.inbox_bytes += slice.length;
    pipe.inbox.push_back(std::move(slice));
  }
  if (size == 0 || pipe.taker == nullptr || !pipe.taker->take()) pipe.readable.notify_all();
  settle(pipe.link);
}

void Network::consumed(Pipe& pipe, uint64_t size) {
  pipe.unread -= std::min(pipe.unread, size);
  wake(pipe);
}

/// That end learns that the connection is no more.
void Network::reset(Link& link, int side) {
  auto& end = link.ends[static_cast<size_t>(side)];
  if (end.broken || end.vanished) return;
  end.broken = true;
  Pipe& out = link.pipes[static_cast<size_t>(side)];
  trace_.add(time_.elapsed(), Trace::Kind::reset, out.from, out.to, link.id);
  out.queue.clear();
  out.wire.clear();
  out.chunks.clear();
  out.queued = out.across = 0;
  out.end_sent = true;
  for (Pipe& pipe : link.pipes) {
    pipe.readable.notify_all();
    pipe.writable.notify_all();
  }
}

void Network::shut(Link& link, int side, bool silently) {
  auto& end = link.ends[static_cast<size_t>(side)];
  if (end.shut) return;
  end.shut = true;
  end.vanished = silently;
  Pipe& out = link.pipes[static_cast<size_t>(side)];
  Pipe& in = link.pipes[static_cast<size_t>(1 - side)];
  count_connection(out.from, -1);
  in.inbox.clear();
  in.unread -= std::min(in.unread, in.inbox_bytes);
  in.inbox_bytes = 0;
  in.readable.notify_all();
  out.writable.notify_all();
  if (silently) {
    out.queue.clear();
    out.queued = 0;
    return;
  }
  give_back(out);
  out.end_wanted = true;
  wake(out);
}

/// What a socket would not have taken yet is not sent any more.
void Network::give_back(Pipe& pipe) {
  while (pipe.queued > send_buffer_of(pipe)) {
    test::Slice& last = pipe.queue.back();
    const uint64_t part = std::min(last.length, pipe.queued - send_buffer_of(pipe));
    pipe.queued -= part;
    if (part == last.length) {
      pipe.queue.pop_back();
    } else {
      last = last.part(0, last.length - part);
    }
  }
}

void Network::let_go(Link& link, int side) {
  shut(link, side, false);
  link.ends[static_cast<size_t>(side)].held = false;
  settle(link);
}

/// A link that nobody and nothing refers to any more goes.
void Network::settle(Link& link) {
  if (link.pending > 0 || link.ends[0].held || link.ends[1].held) return;
  for (const Pipe& pipe : link.pipes) {
    if (!pipe.in_line) continue;
    auto& line = hosts_[pipe.from].line;
    line.erase(std::find(line.begin(), line.end(), &pipe));
  }
  links_.erase(link.id);
}

void Network::take_down(HostId host) {
  trace_.add(time_.elapsed(), Trace::Kind::down, host, host, 0);
  hosts_[host].up = false;
  ++hosts_[host].life;
  for (const auto& [number, port] : std::exchange(hosts_[host].ports, {})) {
    port->closed = true;
    port->waiting.clear();
    port->arrived.notify_all();
  }
  for (const auto& [id, link] : links_) {
    for (int side = 0; side < 2; ++side) {
      if (link->pipes[static_cast<size_t>(side)].from == host) shut(*link, side, true);
    }
  }
}

void Network::bring_up(HostId host) {
  trace_.add(time_.elapsed(), Trace::Kind::up, host, host, 0);
  hosts_[host].up = true;
  retry_stalled();
}

void Network::heal() {
  blocked_.clear();
  retry_stalled();
}

/// Whatever was held up tries again, as TCP does, after a while.
void Network::retry_stalled() {
  for (const auto& [id, side] : std::exchange(stalled_, {})) {
    const auto found = links_.find(id);
    if (found == links_.end()) continue;
    Pipe& pipe = found->second->pipes[static_cast<size_t>(side)];
    pipe.stalled = false;
    const size_t lost = pipe.chunks.size() - pipe.across;
    const TimePoint when = time_.now() + options_.stall + latency(pipe.from, pipe.to);
    pipe.last_arrival = std::max(pipe.last_arrival, when);
    for (size_t i = 0; i < lost; ++i) later<&Network::arrive>(when, pipe);
    wake(pipe);
  }
}

}  // namespace krakend::sim
