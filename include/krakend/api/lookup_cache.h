#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "krakend/core/result.h"
#include "krakend/core/time.h"
#include "krakend/io/clock.h"
#include "krakend/io/condition.h"
#include "krakend/io/loop.h"
#include "krakend/io/task.h"

namespace krakend::api {

struct LookupCacheOptions {
  Duration ttl{0};
  Duration error_ttl{0};
  /// Answers kept at once; the oldest go first.
  size_t max_entries = 10'000;
  /// Sum of the costs (bytes, by the cache's cost function) of the answers kept at once.
  size_t max_cost = SIZE_MAX;
};

/// Answers of a slow lookup by key, good ones and failures, each for its time. Callers that ask for one key
/// at the same moment share one lookup; with both times 0 that is all it does. Value is copied out, so it
/// should be cheap to copy. Loop thread; must outlive its callers.
template <class Key, class Value>
class LookupCache {
 public:
  using Fetch = std::function<Task<Result<Value>>()>;
  using Cost = std::function<size_t(const Value&)>;

  LookupCache(io::Loop& loop, io::Clock& clock, LookupCacheOptions options, Cost cost = {})
      : loop_(loop), clock_(clock), options_(options), cost_(std::move(cost)) {}

  Task<Result<Value>> get(Key key, Fetch fetch) {
    for (;;) {
      EntryPtr entry = find_or_add(key);
      if (entry->answer && clock_.now() < entry->expires) co_return *entry->answer;
      if (!entry->running) {
        Lead lead(*this, key, entry);
        Result<Value> answer = co_await fetch();
        store(key, entry, answer);
        co_return answer;
      }
      const unsigned seen = entry->answers;
      co_await entry->changed.wait();
      // A leader that was cancelled leaves no answer: then one of its followers takes over.
      if (entry->answers != seen) co_return *entry->answer;
    }
  }

  /// The answer for `key` is not true any more: neither the one kept nor one that is being looked up.
  void forget(const Key& key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    const EntryPtr entry = found->second;
    drop(*entry);
    entry->detached = true;
    entries_.erase(found);
  }
  void clear() {
    while (!entries_.empty()) forget(Key(entries_.begin()->first));
  }

  size_t size() const { return order_.size(); }
  size_t cost() const { return total_cost_; }

 private:
  struct Entry {
    explicit Entry(io::Loop& loop) : changed(loop) {}
    io::Condition changed;
    bool running = false;
    bool detached = false;  ///< forgotten while somebody still holds it
    unsigned answers = 0;
    std::optional<Result<Value>> answer;
    TimePoint expires{};
    size_t cost = 0;
    /// Where it stands in order_; set while `kept`.
    typename std::list<Key>::iterator place;
    bool kept = false;
  };
  using EntryPtr = std::shared_ptr<Entry>;

  /// The one caller that looks up; its end, also by cancellation, lets the others go on.
  class Lead {
   public:
    Lead(LookupCache& cache, const Key& key, EntryPtr entry)
        : cache_(cache), key_(key), entry_(std::move(entry)) {
      entry_->running = true;
    }
    Lead(const Lead&) = delete;
    Lead& operator=(const Lead&) = delete;
    ~Lead() {
      entry_->running = false;
      if (!entry_->kept && !entry_->detached) cache_.entries_.erase(key_);
      entry_->changed.notify_all();
    }

   private:
    LookupCache& cache_;
    const Key& key_;
    EntryPtr entry_;
  };

  EntryPtr find_or_add(const Key& key) {
    EntryPtr& entry = entries_[key];
    if (!entry) entry = std::make_shared<Entry>(loop_);
    return entry;
  }

  void store(const Key& key, const EntryPtr& entry, const Result<Value>& answer) {
    drop(*entry);
    entry->answer = answer;
    ++entry->answers;
    const Duration ttl = answer ? options_.ttl : options_.error_ttl;
    if (ttl <= Duration::zero() || entry->detached) return;
    entry->expires = clock_.now() + ttl;
    entry->cost = answer && cost_ ? cost_(*answer) : 0;
    entry->place = order_.insert(order_.end(), key);
    entry->kept = true;
    total_cost_ += entry->cost;
    while (!order_.empty() && over_limit()) {
      const Key oldest = order_.front();
      const EntryPtr victim = entries_.at(oldest);
      drop(*victim);
      if (!victim->running) entries_.erase(oldest);
    }
  }

  /// Past a limit, or holding an answer that nobody will get any more.
  bool over_limit() const {
    if (order_.size() > options_.max_entries || total_cost_ > options_.max_cost) return true;
    const Entry& oldest = *entries_.at(order_.front());
    return oldest.expires <= clock_.now();
  }

  void drop(Entry& entry) {
    if (!entry.kept) return;
    order_.erase(entry.place);
    total_cost_ -= entry.cost;
    entry.kept = false;
    entry.expires = TimePoint{};
  }

  io::Loop& loop_;
  io::Clock& clock_;
  LookupCacheOptions options_;
  Cost cost_;
  std::unordered_map<Key, EntryPtr> entries_;
  std::list<Key> order_;
  size_t total_cost_ = 0;
};

}  // namespace krakend::api
