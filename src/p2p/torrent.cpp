#include "p2p/torrent.h"

#include <algorithm>

#include "krakend/storage/piece_check.h"

namespace krakend::p2p {
namespace {

/// True while it lives, and whoever waits for its end is woken then, though the task that holds it was
/// stopped.
class Underway {
 public:
  Underway(bool& flag, io::Condition& ended) : flag_(flag), ended_(ended) { flag_ = true; }
  Underway(const Underway&) = delete;
  Underway& operator=(const Underway&) = delete;
  ~Underway() {
    flag_ = false;
    ended_.notify_all();
  }

 private:
  bool& flag_;
  io::Condition& ended_;
};

}  // namespace

/// A client's view of the blob; also moves the read cursor of the picker.
class TorrentReader final : public io::Content {
 public:
  explicit TorrentReader(TorrentPtr torrent)
      : torrent_(std::move(torrent)),
        id_(++torrent_->last_reader_),
        generation_(torrent_->generation_),
        file_(torrent_->file_) {
    ++torrent_->readers_;
  }
  TorrentReader(const TorrentReader&) = delete;
  TorrentReader& operator=(const TorrentReader&) = delete;
  ~TorrentReader() override {
    --torrent_->readers_;
    torrent_->picker_.drop_cursor(id_);
    torrent_->range_readers_.erase(id_);
    torrent_->last_used_ = torrent_->context_->clock.now();
  }

  uint64_t size() const override { return torrent_->info_->length(); }
  io::FilePtr file() const override { return file_; }

  std::string_view want_range(uint64_t begin) override {
    const bool arriving = !torrent_->complete_ && !torrent_->failure_;
    if (!arriving || begin == 0 || !torrent_->context_->options.serve_unverified_ranges) return {};
    torrent_->range_readers_.insert(id_);
    return "crc32";
  }

  Task<Result<uint64_t>> ready(uint64_t offset) override {
    const auto torrent = torrent_;
    const uint64_t id = id_;
    while (true) {
      if (torrent->failure_) co_return fail(*torrent->failure_);
      if (torrent->generation_ != generation_) {
        co_return fail(Errc::corrupt, "blob {}: stored bytes were found damaged, read again",
                       torrent->info_->digest().str());
      }
      if (torrent->blob_) co_return co_await torrent->check_for_reader(offset);
      const bool range = torrent->range_readers_.contains(id);
      const auto end = range ? torrent->checked_end(offset) : torrent->readable_end();
      if (offset < end) co_return end;
      torrent->picker_.set_cursor(id, static_cast<PieceIndex>(offset / torrent->info_->piece_length()));
      if (range) torrent->request_more();
      co_await torrent->progress_.wait();
    }
  }

 private:
  TorrentPtr torrent_;
  uint64_t id_;
  uint64_t generation_;
  io::FilePtr file_;
};

Torrent::Torrent(ContextPtr context, std::string ns, storage::PartialBlobPtr partial)
    : context_(std::move(context)),
      ns_(std::move(ns)),
      info_(std::make_shared<const MetaInfo>(partial->metainfo())),
      partial_(std::move(partial)),
      file_(partial_->file()),
      hasher_(context_->loop, file_),
      have_(partial_->have()),
      receiving_(have_.size()),
      picker_(have_),
      backoff_(context_->options.blacklist_duration, context_->options.disable_blacklist,
               context_->metrics.limit(SwarmLimit::left_alone)),
      last_origin_sought_(context_->clock.now()),
      last_company_(last_origin_sought_),
      progress_(context_->loop),
      starved_(context_->loop),
      started_(last_origin_sought_),
      finished_(started_),
      last_piece_(started_),
      last_used_(started_),
      resumed_pieces_(have_.count()) {
  while (have_.test(prefix_)) ++prefix_;
  configured();
}

Torrent::Torrent(ContextPtr context, std::string ns, MetaInfo info, storage::BlobPtr blob)
    : context_(std::move(context)),
      ns_(std::move(ns)),
      info_(std::make_shared<const MetaInfo>(std::move(info))),
      blob_(std::move(blob)),
      file_(blob_->file()),
      hasher_(context_->loop, file_),
      have_(info_->piece_count(), true),
      receiving_(have_.size()),
      prefix_(have_.size()),
      complete_(true),
      picker_(have_),
      backoff_(context_->options.blacklist_duration, context_->options.disable_blacklist,
               context_->metrics.limit(SwarmLimit::left_alone)),
      last_origin_sought_(context_->clock.now()),
      last_company_(last_origin_sought_),
      progress_(context_->loop),
      starved_(context_->loop),
      started_(last_origin_sought_),
      finished_(started_),
      last_piece_(started_),
      last_used_(started_),
      resumed_pieces_(have_.count()) {
  if (context_->self.origin && context_->options.super_seeding)
    seeder_ = std::make_unique<SuperSeeder>(have_.size());
}

Torrent::~Torrent() {
  context_->torrent_log.leecher_summaries(*info_, counts_);
}

void Torrent::configured() {
  const auto& options = context_->options;
  backoff_.configure(options.blacklist_duration, options.disable_blacklist);
  picker_.prefer_rare(options.piece_request_policy == PiecePolicy::rarest_first);
}

void Torrent::announce_itself() const {
  NetworkEvents::Details details;
  details.bitfield = &have_;
  details.conn_capacity = context_->options.max_open_conn;
  context_->events.write("add_torrent", info_->info_hash(), details);
  if (complete_) context_->events.write("torrent_complete", info_->info_hash());
}

void Torrent::start() {
  auto self = shared_from_this();
  announce_itself();
  context_->tasks.spawn(hash_loop(self), "hash " + info_->digest().hex());
  if (have_.all()) return;
  context_->tasks.spawn(announce_loop(self), "announce " + info_->digest().hex());
  context_->tasks.spawn(watch_loop(self), "watch " + info_->digest().hex());
}

void Torrent::fail_with(Error why) {
  if (failure_) return;
  failure_ = std::move(why);
  if (!complete_ && !context_->stopping) {
    context_->events.write("torrent_cancelled", info_->info_hash());
    context_->torrent_log.download_failure(ns_, *info_, failure_->message);
  }
  requests_.clear();
  settle_budget();
  for (const auto& [id, connection] : peers_) connection->close();
  progress_.notify_all();
  starved_.notify_all();
}

Task<> Torrent::discard() {
  while (committing_) co_await progress_.wait();
  if (auto partial = std::move(partial_)) co_await partial->discard();
}

io::ContentPtr Torrent::open_reader() {
  return std::make_shared<TorrentReader>(shared_from_this());
}

uint64_t Torrent::prefix_bytes() const {
  return std::min(info_->length(), uint64_t{prefix_} * info_->piece_length());
}

uint64_t Torrent::readable_end() const {
  if (complete_) return info_->length();
  const auto limit = info_->length() > holdback ? info_->length() - holdback : 0;
  return std::min(prefix_bytes(), limit);
}

/// Where the run of pieces ends that are there from the one at `offset` on; `offset` when that one is not.
uint64_t Torrent::checked_end(uint64_t offset) const {
  auto index = static_cast<PieceIndex>(offset / info_->piece_length());
  if (!have_.test(index)) return offset;
  while (index < have_.size() && have_.test(index)) ++index;
  return std::min(info_->length(), uint64_t{index} * info_->piece_length());
}

/// Follows the verified prefix with the SHA-256 until the blob is whole and proven, or the torrent fails.
Task<> Torrent::hash_loop(std::shared_ptr<Torrent> self) {
  while (!self->failure_ && !self->complete_) {
    auto& hasher = self->hasher_;
    hasher.restart();
    while (!self->failure_ && hasher.position() < self->info_->length()) {
      const auto end = self->prefix_bytes();
      if (hasher.busy() || end < std::min(self->info_->length(), hasher.position() + hash_step)) {
        co_await self->progress_.wait();
        continue;
      }
      auto hashed = co_await hasher.advance(end);
      if (!hashed) self->fail_with(hashed.error());
    }
    if (self->failure_) break;
    if (hasher.digest() == self->info_->digest()) {
      co_await self->finish();
    } else {
      co_await self->recheck();
    }
  }
}

/// Pieces are noted on disk some at a time: one by one, that costs more than their checksums.
Task<> Torrent::mark_soon(std::shared_ptr<Torrent> self) {
  co_await self->context_->clock.sleep(mark_interval);
  auto marked = co_await self->mark_pieces();
  if (!marked) self->fail_on_disk(marked.error());
}

/// The disk refused what was to be written; nobody but the log would say so.
void Torrent::fail_on_disk(const Error& error) {
  context_->log.error("digest={} download failed: {}", info_->digest().str(), error.message);
  fail_with(error);
}

Task<Result<void>> Torrent::mark_pieces() {
  while (marking_) co_await progress_.wait();
  const auto partial = partial_;
  const auto pieces = std::exchange(unmarked_, {});
  if (!partial || pieces.empty()) co_return Result<void>{};
  const Underway marking(marking_, progress_);
  co_return co_await partial->mark(pieces);
}

/// All pieces matched their sums once, the whole does not: either the disk changed under us (a power loss can
/// leave a bitmap that claims more than the file holds), or the metainfo describes other bytes.
Task<> Torrent::recheck() {
  // Or else what is found bad now would be called good later.
  if (auto marked = co_await mark_pieces(); !marked) {
    fail_with(marked.error());
    co_return;
  }
  const auto have = have_;
  auto bad =
      co_await context_->loop.offload([&, this] { return storage::find_bad_pieces(*file_, *info_, have); });
  if (!bad) {
    fail_with(bad.error());
    co_return;
  }
  if (failure_) co_return;  // removed meanwhile
  if (bad->empty()) {
    context_->log.error(
        "digest={} every piece matches its sum but the whole does not match the digest: metainfo of "
        "the tracker is wrong, download dropped",
        info_->digest().str());
    fail_with(Error{Errc::corrupt, "blob " + info_->digest().str() + ": bytes do not match the digest"});
    co_await discard();
    co_return;
  }
  context_->log.warn("digest={} {} stored pieces were damaged and are fetched again", info_->digest().str(),
                     bad->size());
  auto unmarked = co_await partial_->unmark(*bad);
  if (!unmarked) {
    fail_with(unmarked.error());
    co_return;
  }
  for (const auto index : *bad) {
    have_.clear(index);
    picker_.mark_lost(index);
    prefix_ = std::min(prefix_, index);
  }
  ++generation_;
  retries_ += bad->size();
  last_piece_ = context_->clock.now();
  auto self = shared_from_this();
  context_->tasks.spawn(announce_loop(self), "announce " + info_->digest().hex());
  context_->tasks.spawn(watch_loop(self), "watch " + info_->digest().hex());
  progress_.notify_all();
  request_more();
}

/// The SHA-256 matched: readers get the rest at once; making the blob durable happens behind them.
Task<> Torrent::finish() {
  complete_ = true;
  finished_ = context_->clock.now();
  last_used_ = finished_;
  backoff_.clear();
  progress_.notify_all();
  starved_.notify_all();
  log_finished();
  context_->events.write("torrent_complete", info_->info_hash());
  context_->torrent_log.download_success(ns_, *info_, to_seconds(finished_ - started_));
  context_->torrent_log.seeder_summaries(*info_, counts_);
  for (const auto& [id, connection] : FlatMap(peers_)) {
    if (connection->have().all())
      connection->close();
    else
      connection->send(Complete{});
  }
  if (context_->tracker != nullptr) {
    context_->tasks.spawn(announce_complete(shared_from_this()), "announce complete");
  }
  unmarked_.clear();  // that is part of the commit
  auto partial = std::move(partial_);
  committing_ = true;
  auto blob = co_await partial->commit();
  committing_ = false;
  progress_.notify_all();
  if (!blob) {
    context_->log.error("digest={} complete, but not kept: {}", info_->digest().str(), blob.error().message);
    fail_with(blob.error());
  }
}

void Torrent::log_finished() const {
  std::string sources;
  for (const auto& [address, bytes] : by_address_) sources += fmt::format(" {}={}", address, bytes);
  context_->log.info(
      "download complete digest={} namespace={} bytes={} pieces={} resumed_pieces={} seconds={:.3f} "
      "from_origins={} from_peers={} retries={} sources:{}",
      info_->digest().str(), ns_, info_->length(), info_->piece_count(), resumed_pieces_,
      to_seconds(finished_ - started_), from_origins_, from_peers_, retries_,
      sources.empty() ? " none" : sources);
}

void Torrent::close_old_connections(TimePoint now) {
  const auto& options = context_->options;
  for (const auto& [id, connection] : peers_) {
    const bool busy = requests_.outstanding(id) > 0;
    const bool idle = !busy && now - connection->last_useful > options.conn_tti;
    const bool old = now - connection->since > options.conn_ttl;
    // What was asked for still comes.
    connection->retiring = connection->retiring || old;
    if (idle || (old && !busy && !connection->receiving)) connection->close();
  }
}

void Torrent::measure(TimePoint now) {
  for (const auto& [id, connection] : peers_) {
    connection->incoming.look(connection->stream().bytes_received(), now);
    connection->outgoing.look(connection->stream().bytes_sent(), now);
    connection->look_for_halt(now);
  }
  intake_.look(from_origins_ + from_peers_, now);
}

void Torrent::help_peers(TimePoint now) {
  if (!super_seeding()) return;
  for (const auto& [id, connection] : peers_) {
    if (now - connection->last_taken > helpless_after) show(seeder_->help(id));
  }
  doubt_slow_peers(now);  // nothing else calls it when all transfers have come to a halt
}

/// One slow peer must not make slowness usual.
void Torrent::note_transfer(const PeerId& peer, double seconds) {
  if (seconds < transfer_patience()) seeder_->trust(peer);
  constexpr double weight = 0.2;
  if (transfer_seconds_ == 0)
    transfer_seconds_ = seconds;
  else
    transfer_seconds_ +=
        weight * (std::min(seconds, slow_transfer_factor * transfer_seconds_) - transfer_seconds_);
}

double Torrent::transfer_patience() const {
  const auto rate = static_cast<double>(context_->backlog.load().rate);
  const auto sharing = static_cast<double>(context_->turns.running() * info_->piece_length());
  const double fair = rate > 0 ? sharing / rate : 0;
  return std::max(to_seconds(slow_transfer), slow_transfer_factor * std::max(transfer_seconds_, fair));
}

void Torrent::doubt_slow_peers(TimePoint now) {
  if (!super_seeding() || peers_.size() < 2 || transfer_seconds_ == 0) return;
  const double patience = transfer_patience();
  for (const auto& [id, connection] : peers_) {
    const bool slow = connection->sending_since && to_seconds(now - *connection->sending_since) > patience;
    const bool idle = to_seconds(now - connection->last_taken) > slow_to_take + patience;
    if (slow || idle) show(seeder_->doubt(id));
  }
}

Task<Result<uint64_t>> Torrent::check_for_reader(uint64_t offset) {
  auto ready = co_await blob_->ready(offset);
  if (!ready) fail_with(ready.error());
  co_return ready;
}

Task<bool> Torrent::may_send(PieceIndex index) {
  if (!blob_) co_return true;
  const uint64_t begin = info_->piece_offset(index);
  auto ready = co_await io::await_ready(*blob_, begin, begin + info_->piece_size(index));
  if (!ready) fail_with(ready.error());
  co_return ready.has_value();
}

bool Torrent::wanted_by_nobody() const {
  if (readers_ > 0 || !dialing_.empty()) return false;
  return std::all_of(peers_.begin(), peers_.end(), [this](const auto& peer) {
    const Connection& connection = *peer.second;
    return connection.origin() || connection.have().count() == info_->piece_count();
  });
}

}  // namespace krakend::p2p
