#include "support/memory_disk.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <map>

#include "support/file_data.h"
#include "support/slice_file.h"

namespace krakend::test {
namespace {

constexpr uint64_t sector = 4096;
constexpr uint64_t most_tears = 8;

void copy(const FileData& from, FileData& to, uint64_t begin, uint64_t end) {
  end = std::min(end, from.size());
  if (begin >= end) return;
  for (const Slice& slice : from.slices(begin, end)) {
    if (slice.synthetic || slice.text) to.write(begin, slice);
    begin += slice.length;
  }
}

/// The new size, and sectors of either; those that were never written are zeros.
FileData torn(const FileData& before, const FileData& now, io::Random& random) {
  FileData out;
  out.resize(now.size());
  const uint64_t sectors = now.size() / sector + 1;
  std::vector<uint64_t> tears{sectors};
  for (uint64_t i = random.below(most_tears); i > 0; --i) tears.push_back(random.below(sectors));
  std::sort(tears.begin(), tears.end());
  uint64_t begin = 0;
  for (const uint64_t tear : tears) {
    const uint64_t end = std::min(tear * sector, now.size());
    copy(random.below(2) == 0 ? before : now, out, begin, end);
    begin = end;
  }
  return out;
}

}  // namespace

struct MemoryDisk::Node {
  using Space = std::shared_ptr<std::atomic<uint64_t>>;
  Node(bool is_directory, Space used_bytes) : directory(is_directory), used(std::move(used_bytes)) {}
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() { *used -= data.size(); }
  using Entries = std::map<std::string, std::shared_ptr<Node>>;

  const bool directory;
  const Space used;  ///< of the whole disk; also bytes whose last name is gone count while they are open
  FileData data;
  FileData durable_data;
  std::chrono::system_clock::time_point modified;
  Entries entries;
  Entries durable_entries;
};

/// Where a path leads: its directory (null when missing), the last part of its name, and what is there, if
/// anything.
struct MemoryDisk::Place {
  NodePtr parent;
  std::string name;
  NodePtr node;
  bool below_file = false;
};

struct MemoryDisk::State {
  std::mutex mutex;
  Node::Space used = std::make_shared<std::atomic<uint64_t>>(0);
  NodePtr root = std::make_shared<Node>(true, used);
  uint64_t capacity = 0;
  uint64_t changes = 0;
  std::optional<uint64_t> breaks_at;
  Errc broken_code = Errc::io;
  const io::Clock* clock = nullptr;
  std::atomic<size_t> open_files = 0;

  void touch(Node& node) const {
    if (clock != nullptr) node.modified = clock->wall();
  }
  Place find(const std::string& path) const {
    Place place{nullptr, "", root, false};
    for (size_t begin = 0; begin < path.size();) {
      const size_t end = std::min(path.find('/', begin), path.size());
      const auto part = path.substr(begin, end - begin);
      begin = end + 1;
      if (part.empty() || part == ".") continue;
      place.below_file = place.below_file || (place.node && !place.node->directory);
      place.parent = place.node && place.node->directory ? place.node : nullptr;
      place.name = part;
      place.node = nullptr;
      if (!place.parent) continue;
      const auto found = place.parent->entries.find(part);
      if (found != place.parent->entries.end()) place.node = found->second;
    }
    return place;
  }

  /// Counts a change; the error of a broken disk.
  Result<void> change(const std::string& path) {
    if (breaks_at && changes >= *breaks_at) return fail(broken_code, "{}: the disk is broken", path);
    ++changes;
    return {};
  }

  uint64_t available() const { return capacity - std::min(used->load(), capacity); }

  Result<void> resize(const std::string& path, FileData& data, uint64_t size) {
    if (size > data.size() && size - data.size() > available())
      return fail(Errc::no_space, "{}: no space left", path);
    *used += size - data.size();
    data.resize(size);
    return {};
  }
};

class MemoryDisk::OpenFile final : public SliceFile {
 public:
  OpenFile(std::shared_ptr<State> state, NodePtr node, std::string path, bool writable)
      : state_(std::move(state)), node_(std::move(node)), path_(std::move(path)), writable_(writable) {
    ++state_->open_files;
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() override { --state_->open_files; }

  Result<size_t> read_at(uint64_t offset, std::span<std::byte> out) override {
    const std::lock_guard lock(state_->mutex);
    return node_->data.read(offset, out);
  }
  Result<void> write_at(uint64_t offset, std::span<const std::byte> bytes) override {
    const std::lock_guard lock(state_->mutex);
    if (auto ok = prepare(offset + bytes.size()); !ok) return ok;
    node_->data.write(offset, bytes);
    return {};
  }
  Result<std::vector<Slice>> read_slices(uint64_t offset, uint64_t length) override {
    const std::lock_guard lock(state_->mutex);
    if (offset + length > node_->data.size()) return fail(Errc::io, "{}: the file ends before", path_);
    return node_->data.slices(offset, offset + length);
  }
  Result<void> write_slice(uint64_t offset, const Slice& slice) override {
    const std::lock_guard lock(state_->mutex);
    if (auto ok = prepare(offset + slice.length); !ok) return ok;
    node_->data.write(offset, slice);
    return {};
  }
  /// A hash that stands where the bytes before `offset` bring it is known further on, too.
  Result<void> hash(Sha256& sha, uint64_t offset, uint64_t end) override {
    SyntheticPtr content;
    {
      const std::lock_guard lock(state_->mutex);
      content = node_->data.prefix_of(end);
    }
    if (!content || sha.digest() != content->digest_at(offset)) return io::File::hash(sha, offset, end);
    sha = content->sha_at(end);
    return {};
  }
  Result<void> allocate(uint64_t size) override { return truncate(size); }
  Result<void> truncate(uint64_t size) override {
    const std::lock_guard lock(state_->mutex);
    if (auto ok = may_change(); !ok) return ok;
    state_->touch(*node_);
    return state_->resize(path_, node_->data, size);
  }
  Result<void> sync() override {
    const std::lock_guard lock(state_->mutex);
    if (auto ok = state_->change(path_); !ok) return ok;
    node_->durable_data = node_->data;
    return {};
  }
  Result<uint64_t> size() override {
    const std::lock_guard lock(state_->mutex);
    return node_->data.size();
  }
  int descriptor() const override { return -1; }

 private:
  /// The file is about to be written up to `end`.
  Result<void> prepare(uint64_t end) {
    if (auto ok = may_change(); !ok) return ok;
    state_->touch(*node_);
    if (end <= node_->data.size()) return {};
    return state_->resize(path_, node_->data, end);
  }
  Result<void> may_change() {
    if (!writable_) return fail(Errc::io, "{}: opened for reading", path_);
    return state_->change(path_);
  }

  std::shared_ptr<State> state_;
  NodePtr node_;
  std::string path_;
  bool writable_;
};

MemoryDisk::MemoryDisk(uint64_t capacity) : state_(std::make_shared<State>()) {
  state_->capacity = capacity;
}
MemoryDisk::~MemoryDisk() = default;

uint64_t MemoryDisk::changes() const {
  const std::lock_guard lock(state_->mutex);
  return state_->changes;
}

void MemoryDisk::break_after(uint64_t left, Errc code) {
  const std::lock_guard lock(state_->mutex);
  state_->breaks_at = state_->changes + left;
  state_->broken_code = code;
}

void MemoryDisk::set_capacity(uint64_t bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->capacity = bytes;
}

void MemoryDisk::set_clock(const io::Clock& clock) {
  const std::lock_guard lock(state_->mutex);
  state_->clock = &clock;
}

std::string MemoryDisk::rot(io::Random& random, const std::string& directory, const std::string& name) {
  const std::lock_guard lock(state_->mutex);
  std::vector<std::pair<std::string, NodePtr>> found;
  std::vector<std::pair<std::string, NodePtr>> left;
  if (const Place place = state_->find(directory); place.node) left.emplace_back(directory, place.node);
  while (!left.empty()) {
    const auto [path, node] = left.back();
    left.pop_back();
    for (const auto& [entry, child] : node->entries) {
      if (child->directory)
        left.emplace_back(path + "/" + entry, child);
      else if (entry == name && child->data.size() > 0)
        found.emplace_back(path + "/" + entry, child);
    }
  }
  if (found.empty()) return {};
  const auto& [path, node] = found[random.below(found.size())];
  const uint64_t at = random.below(node->data.size());
  const auto bit = static_cast<std::byte>(1U << random.below(8));
  for (FileData* data : {&node->data, &node->durable_data}) {
    std::array<std::byte, 1> byte{};
    if (data->read(at, byte) == 0) continue;
    byte[0] ^= bit;
    data->write(at, byte);
  }
  return path;
}

size_t MemoryDisk::open_files() const {
  return state_->open_files;
}

void MemoryDisk::lose_power(io::Random& random) {
  const std::lock_guard lock(state_->mutex);
  state_->breaks_at.reset();
  std::vector<NodePtr> left{state_->root};
  while (!left.empty()) {
    const NodePtr node = left.back();
    left.pop_back();
    if (!node->directory) {
      *node->used -= node->data.size();
      const uint64_t fate = random.below(3);
      if (fate == 0) node->data = node->durable_data;
      if (fate == 1) node->data = torn(node->durable_data, node->data, random);
      node->durable_data = node->data;
      *node->used += node->data.size();
      continue;
    }
    // Each name is decided for itself: a journal keeps the order of one directory's changes, but ours need
    // not.
    Node::Entries names = node->durable_entries;
    names.insert(node->entries.begin(), node->entries.end());
    for (const auto& [name, ignored] : names) {
      const auto& kept = random.below(2) == 0 ? node->durable_entries : node->entries;
      const auto found = kept.find(name);
      const NodePtr chosen = found == kept.end() ? nullptr : found->second;
      if (chosen)
        node->entries[name] = chosen;
      else
        node->entries.erase(name);
    }
    node->durable_entries = node->entries;
    for (const auto& [name, child] : node->entries) left.push_back(child);
  }
}

Result<io::FilePtr> MemoryDisk::open(const std::string& path, io::OpenMode mode) {
  const std::lock_guard lock(state_->mutex);
  Place place = state_->find(path);
  const bool creates = mode != io::OpenMode::read && mode != io::OpenMode::read_write;
  if (place.node && place.node->directory) return fail(Errc::io, "{} is a directory", path);
  if (place.node && mode == io::OpenMode::create_new)
    return fail(Errc::already_exists, "{} is there already", path);
  if (!place.node && (!creates || !place.parent)) return fail(Errc::not_found, "{}: no such file", path);
  if (creates) {
    if (auto ok = state_->change(path); !ok) return propagate(ok);
  }
  if (!place.node) {
    place.node = place.parent->entries[place.name] = std::make_shared<Node>(false, state_->used);
    state_->touch(*place.node);
  }
  if (mode == io::OpenMode::truncate) (void)state_->resize(path, place.node->data, 0);
  return std::make_shared<OpenFile>(state_, place.node, path, mode != io::OpenMode::read);
}

Result<io::FileStat> MemoryDisk::stat(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  const Place place = state_->find(path);
  if (!place.node) return fail(Errc::not_found, "{}: no such file", path);
  return io::FileStat{place.node->data.size(), place.node->directory, place.node->modified};
}

Result<void> MemoryDisk::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(state_->mutex);
  const Place source = state_->find(from);
  const Place target = state_->find(to);
  if (!source.node || !target.parent)
    return fail(Errc::not_found, "{} or the directory of {}: not there", from, to);
  if (target.node && target.node->directory && (!source.node->directory || !target.node->entries.empty()))
    return fail(Errc::already_exists, "{} is a directory that is there already", to);
  if (auto ok = state_->change(from); !ok) return ok;
  if (target.node == source.node) return {};  // two names of one file stay
  source.parent->entries.erase(source.name);
  target.parent->entries[target.name] = source.node;
  return {};
}

Result<void> MemoryDisk::hard_link(const std::string& from, const std::string& to) {
  const std::lock_guard lock(state_->mutex);
  const Place source = state_->find(from);
  const Place target = state_->find(to);
  if (!source.node || !target.parent)
    return fail(Errc::not_found, "{} or the directory of {}: not there", from, to);
  if (target.node) return fail(Errc::already_exists, "{} is there already", to);
  if (auto ok = state_->change(to); !ok) return ok;
  target.parent->entries[target.name] = source.node;
  return {};
}

Result<void> MemoryDisk::remove(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  const Place place = state_->find(path);
  if (!place.node || !place.parent) return fail(Errc::not_found, "{}: no such file", path);
  if (!place.node->entries.empty()) return fail(Errc::already_exists, "{} is not empty", path);
  if (auto ok = state_->change(path); !ok) return ok;
  place.parent->entries.erase(place.name);
  return {};
}

Result<void> MemoryDisk::remove_all(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  const Place place = state_->find(path);
  if (!place.node || !place.parent) return {};
  if (auto ok = state_->change(path); !ok) return ok;
  place.parent->entries.erase(place.name);
  return {};
}

Result<void> MemoryDisk::make_dirs(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  for (size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    const Place place = state_->find(path.substr(0, end));
    if (place.node && place.node->directory) continue;
    if (place.node || place.below_file) return fail(Errc::already_exists, "{}: a file is in the way", path);
    if (auto ok = state_->change(path); !ok) return ok;
    place.parent->entries[place.name] = std::make_shared<Node>(true, state_->used);
  }
  return {};
}

Result<void> MemoryDisk::sync_dir(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  const Place place = state_->find(path);
  if (!place.node) return fail(Errc::not_found, "{}: no such directory", path);
  if (auto ok = state_->change(path); !ok) return ok;
  place.node->durable_entries = place.node->entries;
  return {};
}

Result<Duration> MemoryDisk::sync_file_system(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  if (auto ok = state_->change(path); !ok) return propagate(ok);
  std::vector<NodePtr> left{state_->root};
  while (!left.empty()) {
    const NodePtr node = left.back();
    left.pop_back();
    node->durable_data = node->data;
    node->durable_entries = node->entries;
    for (const auto& [name, child] : node->entries) left.push_back(child);
  }
  return Duration::zero();
}

Result<std::vector<std::string>> MemoryDisk::list(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  const Place place = state_->find(path);
  if (!place.node || !place.node->directory) return fail(Errc::not_found, "{}: no such directory", path);
  std::vector<std::string> names;
  for (const auto& [name, ignored] : place.node->entries) names.push_back(name);
  return names;
}

Result<io::DiskSpace> MemoryDisk::space(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  if (!state_->find(path).node) return fail(Errc::not_found, "{}: no such directory", path);
  return io::DiskSpace{state_->capacity, state_->capacity - state_->available(), state_->available()};
}

Result<void> MemoryDisk::soft_link(const std::string& /*target*/, const std::string& path) {
  return fail(Errc::io, "{}: no symbolic links on this disk", path);
}

Result<std::string> MemoryDisk::read_link(const std::string& path) {
  return fail(Errc::invalid_argument, "{} is no symbolic link", path);
}

Result<io::FilePtr> MemoryDisk::make_memory_file() {
  const auto apart = std::make_shared<State>();
  apart->capacity = uint64_t{1} << 40;
  auto node = std::make_shared<Node>(false, apart->used);
  return io::FilePtr(std::make_shared<OpenFile>(apart, std::move(node), "file in memory", true));
}

}  // namespace krakend::test
