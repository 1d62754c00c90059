#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace krakend {

/// A map in one sorted piece of memory, for some dozens of entries that are walked through far more often
/// than they change: a node each would be a cache miss each. What inserts or erases invalidates iterators and
/// references.
template <class Key, class Value>
class FlatMap {
 public:
  using value_type = std::pair<Key, Value>;
  using iterator = typename std::vector<value_type>::iterator;
  using const_iterator = typename std::vector<value_type>::const_iterator;

  iterator begin() { return entries_.begin(); }
  iterator end() { return entries_.end(); }
  const_iterator begin() const { return entries_.begin(); }
  const_iterator end() const { return entries_.end(); }
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  void clear() { entries_.clear(); }

  iterator find(const Key& key) { return found(entries_, key); }
  const_iterator find(const Key& key) const { return found(entries_, key); }
  bool contains(const Key& key) const { return find(key) != end(); }

  /// The key's value, made when there was none.
  Value& operator[](const Key& key) {
    const auto at = not_before(entries_, key);
    if (at != end() && at->first == key) return at->second;
    return entries_.emplace(at, key, Value{})->second;
  }
  iterator erase(iterator at) { return entries_.erase(at); }
  size_t erase(const Key& key) {
    const auto at = find(key);
    if (at == end()) return 0;
    entries_.erase(at);
    return 1;
  }

 private:
  template <class Entries>
  static auto not_before(Entries& entries, const Key& key) {
    return std::lower_bound(entries.begin(), entries.end(), key,
                            [](const value_type& entry, const Key& wanted) { return entry.first < wanted; });
  }
  template <class Entries>
  static auto found(Entries& entries, const Key& key) {
    const auto at = not_before(entries, key);
    return at != entries.end() && at->first == key ? at : entries.end();
  }

  std::vector<value_type> entries_;
};

}  // namespace krakend
