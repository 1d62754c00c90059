#include <algorithm>

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
  unsigned deepest = 2;
  if (peers_.size() < few_sources)
    deepest = std::max(context_->options.pipeline_limit, context_->options.origin_pipeline_limit);
  for (unsigned depth = 1; depth <= deepest; ++depth) {
    while (context_->budget.allows(info_->piece_length())) {
      const ConnectionPtr chosen = choose_connection(depth);
      if (!chosen || !request_from(*chosen)) break;
    }
  }
  request_duplicates();
}

unsigned Torrent::depth_limit(const Connection& connection) const {
  return connection.origin() ? context_->options.origin_pipeline_limit : context_->options.pipeline_limit;
}

/// Among three at random that have something for us and fewer than `depth` requests: the one that is expected
/// to deliver first.
ConnectionPtr Torrent::choose_connection(unsigned depth) {
  std::vector<const ConnectionPtr*> left;
  left.reserve(peers_.size());
  for (const auto& [id, connection] : peers_) left.push_back(&connection);
  const auto now = context_->clock.now();
  std::vector<SourceState> sources;
  std::vector<const ConnectionPtr*> found;
  while (!left.empty() && found.size() < compared) {
    const size_t at = context_->random.below(left.size());
    const ConnectionPtr* candidate = left[at];
    left[at] = left.back();
    left.pop_back();
    const Connection& connection = **candidate;
    const unsigned open = requests_.outstanding(connection.id());
    if (connection.closed() || connection.snubbed || open >= std::min(depth, depth_limit(connection)))
      continue;
    if (!picker_.interested(connection.have())) continue;
    const auto oldest = requests_.oldest(connection.id());
    sources.push_back({found.size(), open, connection.times.seconds().value_or(unknown_piece_time),
                       oldest ? to_seconds(now - *oldest) : 0});
    found.push_back(candidate);
  }
  const auto chosen = choose_source(sources, context_->random.next());
  return chosen ? *found[*chosen] : nullptr;
}

void Torrent::request_from_origins() {
  for (const uint64_t reader : range_readers_) {
    const auto piece = picker_.wanted_by(reader);
    if (!piece || picker_.availability(*piece) > 0) continue;
    for (const auto& [id, connection] : peers_) {
      if (!connection->origin() || connection->closed() || connection->snubbed) continue;
      if (requests_.outstanding(id) >= depth_limit(*connection)) continue;
      send_request(*connection, *piece);
      break;
    }
  }
}

bool Torrent::request_from(Connection& connection) {
  const auto piece = picker_.pick(connection.have(), context_->random.next());
  if (!piece) return false;
  send_request(connection, *piece);
  return true;
}

void Torrent::send_request(Connection& connection, PieceIndex piece) {
  const auto now = context_->clock.now();
  if (requests_.outstanding(connection.id()) == 0) connection.times.began(now);
  requests_.add(connection.id(), piece, now);
  picker_.mark_requested(piece);
  settle_budget();
  ++tally(connection.id()).requests_sent;
  connection.send(PieceRequest{piece, 0, static_cast<uint32_t>(info_->piece_size(piece))});
}

/// Endgame: whoever has nothing to do for us any more is asked for what others take long to deliver.
void Torrent::request_duplicates() {
  if (requests_.empty()) return;
  const auto now = context_->clock.now();
  const auto patience =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(2 * typical_piece_time()));
  const Duration age = std::max<Duration>(endgame_age, patience);
  for (const auto& [id, connection] : peers_) {
    if (connection->closed() || connection->snubbed || requests_.outstanding(id) > 0) continue;
    if (picker_.interested(connection->have())) continue;  // the budget alone holds it up
    const auto piece = requests_.overdue_for(id, connection->have(), now, age);
    if (piece) send_request(*connection, *piece);
  }
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
  for (; budgeted_ < requests_.size(); ++budgeted_) context_->budget.requested(info_->piece_length());
  for (; budgeted_ > requests_.size(); --budgeted_) context_->budget.ended(info_->piece_length());
}

}  // namespace krakend::p2p
