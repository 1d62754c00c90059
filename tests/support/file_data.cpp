#include "support/file_data.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "krakend/core/hex.h"

namespace krakend::test {

void FileData::use_runs() {
  if (in_runs_) return;
  in_runs_ = true;
  const uint64_t length = text_.size();
  if (length > 0) runs_[0] = {nullptr, std::make_shared<const std::string>(std::move(text_)), 0, length};
  text_ = {};
}

void FileData::resize(uint64_t size) {
  if (size > longest_text) use_runs();
  if (in_runs_)
    cut(size, std::max(size, size_));
  else
    text_.resize(size, '\0');
  size_ = size;
}

void FileData::cut(uint64_t begin, uint64_t end) {
  if (begin >= end) return;
  auto next = runs_.lower_bound(begin);
  if (next != runs_.begin()) {
    const auto before = std::prev(next);
    const uint64_t stop = before->first + before->second.length;
    const Slice whole = before->second;
    if (stop > begin) before->second.length = begin - before->first;
    if (stop > end) runs_[end] = whole.part(end - before->first, stop - end);
  }
  while (next != runs_.end() && next->first < end) {
    const uint64_t stop = next->first + next->second.length;
    if (stop > end) runs_[end] = next->second.part(end - next->first, stop - end);
    next = runs_.erase(next);
  }
}

void FileData::write(uint64_t offset, std::span<const std::byte> data) {
  if (!in_runs_ && offset + data.size() <= longest_text) {
    if (offset + data.size() > size_) resize(offset + data.size());
    if (!data.empty()) std::memcpy(text_.data() + offset, data.data(), data.size());
    return;
  }
  write(offset, {nullptr, std::make_shared<const std::string>(as_text(data)), 0, data.size()});
}

void FileData::write(uint64_t offset, const Slice& slice) {
  if (slice.length == 0) return;
  use_runs();
  const uint64_t end = offset + slice.length;
  cut(offset, end);
  size_ = std::max(size_, end);
  auto place = runs_.insert_or_assign(offset, slice).first;
  if (!slice.synthetic) return;
  // Runs that go on where the last one ended are one.
  const auto joins = [](const auto& one, const auto& other) {
    return one.second.synthetic == other.second.synthetic && one.first + one.second.length == other.first &&
           one.second.offset + one.second.length == other.second.offset;
  };
  if (place != runs_.begin() && joins(*std::prev(place), *place)) {
    const auto before = std::prev(place);
    before->second.length += place->second.length;
    runs_.erase(place);
    place = before;
  }
  const auto after = std::next(place);
  if (after == runs_.end() || !joins(*place, *after)) return;
  place->second.length += after->second.length;
  runs_.erase(after);
}

std::vector<Slice> FileData::slices(uint64_t offset, uint64_t end) const {
  std::vector<Slice> out;
  if (offset >= end) return out;
  if (!in_runs_) {
    const uint64_t length = end - offset;
    out.push_back({nullptr, std::make_shared<const std::string>(text_.substr(offset, length)), 0, length});
    return out;
  }
  auto next = runs_.upper_bound(offset);
  if (next != runs_.begin()) --next;
  for (; offset < end && next != runs_.end(); ++next) {
    const auto& [begin, run] = *next;
    if (begin + run.length <= offset) continue;
    if (begin > offset) {
      const uint64_t gap = std::min(begin, end) - offset;
      out.push_back({nullptr, nullptr, 0, gap});
      offset += gap;
    }
    if (offset >= end) break;
    const uint64_t length = std::min(begin + run.length, end) - offset;
    out.push_back(run.part(offset - begin, length));
    offset += length;
  }
  if (offset < end) out.push_back({nullptr, nullptr, 0, end - offset});
  return out;
}

size_t FileData::read(uint64_t offset, std::span<std::byte> out) const {
  if (offset >= size_) return 0;
  const size_t count = std::min<size_t>(out.size(), size_ - offset);
  if (!in_runs_) {
    std::memcpy(out.data(), text_.data() + offset, count);
    return count;
  }
  for (const Slice& slice : slices(offset, offset + count)) {
    slice.read(0, out.first(slice.length));
    out = out.subspan(slice.length);
  }
  return count;
}

SyntheticPtr FileData::prefix_of(uint64_t end) const {
  if (runs_.empty()) return nullptr;
  const auto& [begin, run] = *runs_.begin();
  return begin == 0 && run.offset == 0 && run.length >= end ? run.synthetic : nullptr;
}

}  // namespace krakend::test
