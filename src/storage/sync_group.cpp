#include "storage/sync_group.h"

#include <map>
#include <utility>

namespace krakend::storage {

SyncGroup::SyncGroup(io::Loop& loop, io::Disk& disk, std::string directory, bool one_file_system)
    : loop_(loop),
      disk_(disk),
      directory_(std::move(directory)),
      one_file_system_(one_file_system),
      changed_(loop) {}

Task<Result<void>> SyncGroup::sync(Items items) {
  const auto mine = std::make_shared<Waiting>();
  mine->items = std::move(items);
  queue_.push_back(mine);
  while (!mine->done) {
    if (running_) {
      co_await changed_.wait();
      continue;
    }
    running_ = true;
    // On every way out, a cancelled caller included: others are in this round too.
    struct Round {
      SyncGroup& group;
      std::vector<WaitingPtr> callers;
      ~Round() {
        for (const WaitingPtr& caller : callers) caller->done = true;
        group.running_ = false;
        group.changed_.notify_all();
      }
    } const round{*this, std::exchange(queue_, {})};
    for (const WaitingPtr& caller : round.callers) caller->outcome = fail(Errc::cancelled, "not synced");
    const bool whole = one_file_system_ && round.callers.size() >= many && avoid_whole_ == 0;
    if (avoid_whole_ > 0) --avoid_whole_;
    const auto took = co_await loop_.offload([&]() -> Result<Duration> {
      if (whole) return disk_.sync_file_system(directory_);
      sync_each(round.callers);
      return Duration::zero();
    });
    if (took && *took > slow) avoid_whole_ = rounds_after_slow;
    for (const WaitingPtr& caller : round.callers) {
      if (!took) caller->outcome = fail(took.error());
      if (took && whole) caller->outcome = {};
    }
  }
  co_return mine->outcome;
}

void SyncGroup::sync_each(const std::vector<WaitingPtr>& round) const {
  std::map<std::string, Result<void>> directories;
  for (const WaitingPtr& caller : round) {
    caller->outcome = {};
    for (const io::FilePtr& file : caller->items.files) {
      if (auto synced = file->sync(); !synced) caller->outcome = synced;
    }
    for (const std::string& directory : caller->items.directories) {
      auto found = directories.find(directory);
      if (found == directories.end()) found = directories.emplace(directory, disk_.sync_dir(directory)).first;
      if (!found->second) caller->outcome = found->second;
    }
  }
}

}  // namespace krakend::storage
