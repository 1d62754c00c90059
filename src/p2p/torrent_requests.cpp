#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "p2p/torrent.h"

namespace krakend::p2p {
namespace {

/// Of a peer that has not delivered anything yet.
constexpr double unknown_piece_time = 0.1;
constexpr size_t compared = 3;

}  // namespace

/// Asks for as much as the process's budget allows: first one piece of each neighbour, then more of those
/// that would run dry. Called when a piece has arrived, when somebody has something new, and now and then.
void Torrent::request_more() {
  settle_budget();
  if (complete_ || failure_ || peers_.empty()) return;
  if (!range_readers_.empty()) request_from_origins();
  if (!seeks_something_rare()) request_for_readers();
  unsigned deepest = 1;
  if (peers_.size() < few_sources)
    deepest = std::max(context_->options.pipeline_limit, context_->options.origin_pipeline_limit);
  for (unsigned depth = 1; depth <= deepest; ++depth) {
    while (may_request()) {
      const ConnectionPtr chosen = choose_connection(depth);
      if (!chosen || !request_from(*chosen)) break;
    }
  }
  if (!context_->budget.allows(info_->piece_length())) become_hungry();
  request_duplicates();
}

/// Where others lack pieces too, a newcomer begins with what few have: its link out lies idle until it has
/// something that its neighbours want, and they all have what stands at the beginning.
bool Torrent::seeks_something_rare() const {
  if (!range_readers_.empty() || !context_->budget.begins(context_->clock.now())) return false;
  return std::any_of(peers_.begin(), peers_.end(), [](const auto& entry) {
    return !entry.second->origin() && !entry.second->have().all();
  });
}

bool Torrent::may_request() const {
  if (!context_->budget.allows(info_->piece_length())) return false;
  uint64_t most = young_requests + young_requests_of_piece * have_.count();
  if (first_request_ != TimePoint{})
    most +=
        static_cast<uint64_t>((context_->clock.now() - std::max(first_request_, last_piece_)) / young_step);
  return requests_.size() < most;
}

void Torrent::become_hungry() {
  if (std::exchange(hungry_, true)) return;
  context_->met(SwarmLimit::requested_bytes);
  context_->hungry.push_back(weak_from_this());
}

/// Announcements and reports are most of what a swarm says: from who has nothing for us, or where there is no
/// room for a request, that is all they cost.
void Torrent::request_announced(const Connection& teller) {
  if (complete_ || failure_) return;
  settle_budget();
  const bool room = context_->budget.allows(info_->piece_length());
  if ((!room && hungry_) || !picker_.interested(teller.have())) return;
  if (room)
    request_more();
  else
    become_hungry();
}

/// The neighbour with a request of ours that takes longest for what it has to send, when that is more than a
/// few pieces and takes more than `seconds`.
ConnectionPtr Torrent::busiest(double seconds, TimePoint now) const {
  ConnectionPtr longest;
  for (const auto& [id, connection] : peers_) {
    if (!connection->extended() || requests_.outstanding(id) == 0) continue;
    const auto queued = connection->load.queued(now);
    if (!queued || *queued < busy_queue * info_->piece_length() || connection->load.rate() == 0) continue;
    const double wait = static_cast<double>(*queued) / static_cast<double>(connection->load.rate());
    if (wait <= seconds) continue;
    seconds = wait;
    longest = connection;
  }
  return longest;
}

/// There is no room for a request, but this neighbour says that it has little to do: what we have asked for
/// last where the queue is longest is asked for here instead. Otherwise newcomers, and who has just got
/// something rare, would be idle while requests wait where they were sent earlier.
void Torrent::move_request_to(Connection& idle) {
  const auto now = context_->clock.now();
  if (complete_ || failure_ || !idle.askable(now)) return;
  const uint64_t piece_length = info_->piece_length();
  const auto queued = idle.load.queued(now);
  if (!queued || *queued > piece_length * 3 / 2 || requests_.outstanding(idle.id()) > 0) return;
  if (context_->budget.allows(piece_length) || !picker_.interested(idle.have())) return;
  // A newcomer, whose rate is not known, is taken for no slower.
  const double rate = static_cast<double>(idle.load.rate());
  const double wait = rate == 0 ? 0 : static_cast<double>(busy_queue * piece_length) / rate;
  const ConnectionPtr busy = busiest(wait, now);
  if (!busy) return;
  const PieceIndex piece = requests_.of_peer(busy->id()).back();
  if (receiving_.test(piece)) return;
  requests_.erase(busy->id(), piece);
  busy->send(CancelPiece{piece});
  release_unless_asked(piece);
  settle_budget();
  request_from(idle);
}

/// The one with the fewest open requests comes first: blobs that are fetched together end together, and none
/// waits for its first byte until another one is whole.
void Torrent::request_in_turn() {
  settle_budget();
  std::vector<std::shared_ptr<Torrent>> turn{shared_from_this()};
  for (const auto& weak : std::exchange(context_->hungry, {})) {
    const auto torrent = weak.lock();
    if (!torrent) continue;
    torrent->hungry_ = false;
    if (torrent != turn.front()) turn.push_back(torrent);
  }
  std::stable_sort(turn.begin(), turn.end(),
                   [](const auto& a, const auto& b) { return a->requests_.size() < b->requests_.size(); });
  for (const auto& torrent : turn) torrent->request_more();
}

unsigned Torrent::depth_limit(const Connection& connection) const {
  return connection.origin() ? context_->options.origin_pipeline_limit : context_->options.pipeline_limit;
}

/// Among three at random that have something for us and fewer than `depth` requests: the one that is expected
/// to deliver first.
ConnectionPtr Torrent::choose_connection(unsigned depth) {
  const auto now = context_->clock.now();
  std::vector<const decltype(peers_)::value_type*> left;
  left.reserve(peers_.size());
  for (const auto& entry : peers_) left.push_back(&entry);
  std::vector<SourceState> sources;
  std::vector<const ConnectionPtr*> found;
  while (!left.empty() && found.size() < compared) {
    const size_t at = context_->random.below(left.size());
    const auto& [id, candidate] = *left[at];
    left[at] = left.back();
    left.pop_back();
    const Connection& connection = *candidate;
    const unsigned open = requests_.outstanding(id);
    if (!connection.askable(now) || open >= std::min(depth, depth_limit(connection))) continue;
    if (!picker_.interested(connection.have())) continue;
    const auto wait = expected_wait(connection);
    if (!wait) continue;
    sources.push_back({found.size(), *wait});
    found.push_back(&candidate);
  }
  const auto chosen = choose_source(sources);
  return chosen ? *found[*chosen] : nullptr;
}

std::optional<double> Torrent::expected_wait(const Connection& connection) const {
  const auto now = context_->clock.now();
  const unsigned open = requests_.outstanding(connection.id());
  const auto queued = connection.load.queued(now);
  const uint64_t piece = info_->piece_length();
  const uint64_t most =
      is_starved(now) ? std::numeric_limits<uint64_t>::max() : most_queued(connection.load.rate());
  if (!queued || connection.load.rate() == 0) {
    if (queued && *queued > most) return std::nullopt;
    const auto oldest = requests_.oldest(connection.id());
    const auto piece_time = open == 0 ? connection.times.expected(now) : connection.times.seconds();
    return guessed_wait(piece_time.value_or(unknown_piece_time), open,
                        oldest ? to_seconds(now - *oldest) : 0);
  }
  const uint64_t before = *queued + open * piece;
  if (before > most) return std::nullopt;
  return static_cast<double>(before + piece) / static_cast<double>(connection.load.rate());
}

bool Torrent::is_starved(TimePoint now) const {
  return requests_.empty() && now - last_piece_ > starved_after;
}

uint64_t Torrent::most_queued(uint64_t rate) const {
  const auto seconds = static_cast<uint64_t>(static_cast<double>(rate) * longest_queue_seconds);
  return std::max(longest_queue * info_->piece_length(), seconds);
}

void Torrent::request_for_readers() {
  const auto now = context_->clock.now();
  for (const PieceIndex piece : picker_.wanted()) {
    ConnectionPtr best;
    double least = 0;
    for (const auto& [id, connection] : peers_) {
      if (!connection->have().test(piece) || !connection->askable(now)) continue;
      if (requests_.outstanding(id) >= depth_limit(*connection)) continue;
      const auto wait = expected_wait(*connection);
      if (!wait || (best && *wait >= least)) continue;
      best = connection;
      least = *wait;
    }
    if (best) send_request(*best, piece);
  }
}

void Torrent::request_from_origins() {
  const auto now = context_->clock.now();
  for (const uint64_t reader : range_readers_) {
    const auto piece = picker_.wanted_by(reader);
    if (!piece || picker_.availability(*piece) > 0) continue;
    for (const auto& [id, connection] : peers_) {
      if (!connection->origin() || !connection->askable(now)) continue;
      if (requests_.outstanding(id) >= depth_limit(*connection)) continue;
      send_request(*connection, *piece);
      break;
    }
  }
}

bool Torrent::request_from(Connection& connection) {
  const uint64_t draw = context_->random.next();
  const auto& have = connection.have();
  const auto piece = seeks_something_rare() ? picker_.pick_rare(have, draw) : picker_.pick(have, draw);
  if (!piece) return false;
  send_request(connection, *piece);
  return true;
}

void Torrent::send_request(Connection& connection, PieceIndex piece) {
  const auto now = context_->clock.now();
  if (first_request_ == TimePoint{}) first_request_ = now;
  if (requests_.outstanding(connection.id()) == 0) connection.times.began(now);
  requests_.add(connection.id(), piece, now);
  picker_.mark_requested(piece);
  settle_budget();
  if (auto* counted = counts(connection)) ++counted->requests_sent;
  context_->events.about_piece("request_piece", info_->info_hash(), connection.id(), piece);
  connection.send(PieceRequest{piece, 0, static_cast<uint32_t>(info_->piece_size(piece))});
}

/// Endgame: whoever has nothing to do for us any more is asked for what others take long to deliver.
void Torrent::request_duplicates() {
  const auto& options = context_->options;
  if (requests_.empty() || options.disable_endgame) return;
  if (options.endgame_threshold > 0 && have_.size() - have_.count() > options.endgame_threshold) return;
  const auto now = context_->clock.now();
  if (now < next_duplicates_) return;
  next_duplicates_ = now + duplicates_pause;
  // No neighbour is looked at unless there is something to ask it for.
  if (!requests_.any_overdue(receiving_, now, endgame_age)) return;
  std::optional<Duration> age;
  for (const auto& [id, connection] : peers_) {
    if (!connection->askable(now) || requests_.outstanding(id) > 0) continue;
    if (picker_.interested(connection->have())) continue;  // the budget alone holds it up
    if (!age) age = duplicate_age();
    const auto piece = requests_.overdue_for(id, connection->have(), receiving_, now, *age);
    if (piece) send_request(*connection, *piece);
  }
}

/// How old a request is before it is made once more elsewhere.
Duration Torrent::duplicate_age() const {
  const std::chrono::duration<double> patience(2 * typical_piece_time());
  return std::max<Duration>(endgame_age, std::chrono::duration_cast<Duration>(patience));
}

/// Mean of the neighbours that have delivered something, seconds.
double Torrent::typical_piece_time() const {
  double sum = 0;
  unsigned known = 0;
  for (const auto& [id, connection] : peers_) {
    const auto seconds = connection->times.seconds();
    if (!seconds) continue;
    sum += *seconds;
    ++known;
  }
  return known == 0 ? unknown_piece_time : sum / known;
}

void Torrent::settle_budget() {
  const auto now = context_->clock.now();
  for (; budgeted_ < requests_.size(); ++budgeted_) context_->budget.requested(info_->piece_length(), now);
  for (; budgeted_ > requests_.size(); --budgeted_) context_->budget.ended(info_->piece_length());
}

}  // namespace krakend::p2p
