#pragma once

#include <map>
#include <string>

#include "krakend/io/clock.h"
#include "krakend/io/disk.h"
#include "krakend/io/random.h"

namespace krakend::sim {

/// SQLite's files on simulated disks: as long as this lives, every database of the process whose path begins
/// with
/// "/<name>/" lies on the disk of that name. One thread.
class SqliteDisks {
 public:
  explicit SqliteDisks(io::Clock& clock);
  ~SqliteDisks();
  SqliteDisks(const SqliteDisks&) = delete;
  SqliteDisks& operator=(const SqliteDisks&) = delete;
  /// Null takes it away; files that are open stay with their disk.
  void set(const std::string& name, io::Disk* disk);
  io::Disk* find(const std::string& path) const;
  io::Clock& clock() const { return clock_; }

 private:
  struct Vfs;
  io::Clock& clock_;
  std::map<std::string, io::Disk*> disks_;
  std::unique_ptr<Vfs> vfs_;
};

}  // namespace krakend::sim
