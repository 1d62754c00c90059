#include "sim/sqlite_vfs.h"

#include <sqlite3.h>

#include <cstring>
#include <memory>
#include <new>
#include <vector>

namespace krakend::sim {
namespace {

/// What SQLite holds of an open file. It allocates the memory; we construct and destroy.
struct OpenFile {
  sqlite3_file base;
  io::FilePtr file;
  io::Disk* disk = nullptr;
  std::string path;
  bool remove_at_end = false;
  std::vector<std::unique_ptr<char[]>>
      shared;  ///< the memory that connections of one file share: there is one
};

OpenFile& as_open(sqlite3_file* file) {
  return *reinterpret_cast<OpenFile*>(file);
}

int close_file(sqlite3_file* file) {
  OpenFile& open = as_open(file);
  if (open.remove_at_end) (void)open.disk->remove(open.path);
  open.~OpenFile();
  return SQLITE_OK;
}

int read_file(sqlite3_file* file, void* out, int count, sqlite3_int64 offset) {
  const auto wanted = std::span(static_cast<std::byte*>(out), static_cast<size_t>(count));
  auto got = as_open(file).file->read_at(static_cast<uint64_t>(offset), wanted);
  if (!got) return SQLITE_IOERR_READ;
  if (*got == wanted.size()) return SQLITE_OK;
  std::memset(wanted.data() + *got, 0, wanted.size() - *got);
  return SQLITE_IOERR_SHORT_READ;
}

int write_file(sqlite3_file* file, const void* data, int count, sqlite3_int64 offset) {
  const auto bytes = std::span(static_cast<const std::byte*>(data), static_cast<size_t>(count));
  auto written = as_open(file).file->write_at(static_cast<uint64_t>(offset), bytes);
  if (written) return SQLITE_OK;
  return written.error().code == Errc::no_space ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  return as_open(file).file->truncate(static_cast<uint64_t>(size)) ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

int sync_file(sqlite3_file* file, int /*flags*/) {
  OpenFile& open = as_open(file);
  const bool done = open.file->sync() && open.disk->sync_dir(io::parent_path(open.path));
  return done ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
  auto found = as_open(file).file->size();
  if (!found) return SQLITE_IOERR_FSTAT;
  *size = static_cast<sqlite3_int64>(*found);
  return SQLITE_OK;
}

// One process, one connection a file: nobody else could hold a lock.
int lock(sqlite3_file* /*file*/, int /*level*/) {
  return SQLITE_OK;
}
int check_reserved(sqlite3_file* /*file*/, int* held) {
  *held = 0;
  return SQLITE_OK;
}
int file_control(sqlite3_file* /*file*/, int /*op*/, void* /*arg*/) {
  return SQLITE_NOTFOUND;
}
int sector_size(sqlite3_file* /*file*/) {
  return 4096;
}
int characteristics(sqlite3_file* /*file*/) {
  return 0;
}

int map_shared(sqlite3_file* file, int region, int size, int extend, void volatile** out) {
  auto& shared = as_open(file).shared;
  while (extend != 0 && shared.size() <= static_cast<size_t>(region))
    shared.push_back(std::make_unique<char[]>(static_cast<size_t>(size)));
  const bool there = static_cast<size_t>(region) < shared.size();
  *out = there ? shared[static_cast<size_t>(region)].get() : nullptr;
  return SQLITE_OK;
}
int lock_shared(sqlite3_file* /*file*/, int /*offset*/, int /*count*/, int /*flags*/) {
  return SQLITE_OK;
}
void barrier(sqlite3_file* /*file*/) {}
int unmap_shared(sqlite3_file* file, int /*remove*/) {
  as_open(file).shared.clear();
  return SQLITE_OK;
}

const sqlite3_io_methods methods{
    2,           close_file, read_file,      write_file,   truncate_file, sync_file,       file_size,
    lock,        lock,       check_reserved, file_control, sector_size,   characteristics, map_shared,
    lock_shared, barrier,    unmap_shared,   nullptr,      nullptr};

const SqliteDisks& disks_of(sqlite3_vfs* vfs) {
  return *static_cast<const SqliteDisks*>(vfs->pAppData);
}

int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  const std::string path = name == nullptr ? "" : name;
  io::Disk* const disk = disks_of(vfs).find(path);
  if (disk == nullptr) return SQLITE_CANTOPEN;
  const auto mode = (flags & SQLITE_OPEN_CREATE) != 0      ? io::OpenMode::create
                    : (flags & SQLITE_OPEN_READWRITE) != 0 ? io::OpenMode::read_write
                                                           : io::OpenMode::read;
  auto opened = disk->open(path, mode);
  if (!opened) return SQLITE_CANTOPEN;
  auto* const open = new (file) OpenFile;
  open->base.pMethods = &methods;
  open->file = *opened;
  open->disk = disk;
  open->path = path;
  open->remove_at_end = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int delete_file(sqlite3_vfs* vfs, const char* name, int sync_dir) {
  io::Disk* const disk = disks_of(vfs).find(name);
  if (disk == nullptr) return SQLITE_IOERR_DELETE;
  auto removed = disk->remove(name);
  if (!removed)
    return removed.error().code == Errc::not_found ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
  if (sync_dir != 0 && !disk->sync_dir(io::parent_path(name))) return SQLITE_IOERR_DIR_FSYNC;
  return SQLITE_OK;
}

int access_file(sqlite3_vfs* vfs, const char* name, int /*flags*/, int* there) {
  io::Disk* const disk = disks_of(vfs).find(name);
  *there = disk != nullptr && disk->stat(name) ? 1 : 0;
  return SQLITE_OK;
}

int full_path(sqlite3_vfs* /*vfs*/, const char* name, int size, char* out) {
  sqlite3_snprintf(size, out, "%s", name);
  return SQLITE_OK;
}

int randomness(sqlite3_vfs* /*vfs*/, int count, char* out) {
  std::memset(out, 7, static_cast<size_t>(count));  // salts and names: any will do, the same in each run
  return count;
}
int rest(sqlite3_vfs* /*vfs*/, int microseconds) {
  return microseconds;
}
int current_time_ms(sqlite3_vfs* vfs, sqlite3_int64* now) {
  constexpr sqlite3_int64 unix_epoch = 210866760000000;  // in ms of the Julian day
  const auto wall = disks_of(vfs).clock().wall().time_since_epoch();
  *now = unix_epoch + std::chrono::duration_cast<std::chrono::milliseconds>(wall).count();
  return SQLITE_OK;
}
int current_time(sqlite3_vfs* vfs, double* now) {
  sqlite3_int64 ms = 0;
  current_time_ms(vfs, &ms);
  constexpr double day = 86'400'000.0;
  *now = static_cast<double>(ms) / day;
  return SQLITE_OK;
}
int last_error(sqlite3_vfs* /*vfs*/, int /*size*/, char* /*out*/) {
  return 0;
}

}  // namespace

struct SqliteDisks::Vfs : sqlite3_vfs {};

SqliteDisks::SqliteDisks(io::Clock& clock) : clock_(clock), vfs_(std::make_unique<Vfs>()) {
  Vfs& vfs = *vfs_;
  vfs.iVersion = 2;
  vfs.szOsFile = sizeof(OpenFile);
  vfs.mxPathname = 512;
  vfs.zName = "krakend-sim";
  vfs.pAppData = this;
  vfs.xOpen = open_file;
  vfs.xDelete = delete_file;
  vfs.xAccess = access_file;
  vfs.xFullPathname = full_path;
  vfs.xRandomness = randomness;
  vfs.xSleep = rest;
  vfs.xCurrentTime = current_time;
  vfs.xCurrentTimeInt64 = current_time_ms;
  vfs.xGetLastError = last_error;
  sqlite3_vfs_register(&vfs, 1);
}

SqliteDisks::~SqliteDisks() {
  sqlite3_vfs_unregister(vfs_.get());
}

void SqliteDisks::set(const std::string& name, io::Disk* disk) {
  if (disk == nullptr)
    disks_.erase(name);
  else
    disks_[name] = disk;
}

io::Disk* SqliteDisks::find(const std::string& path) const {
  const size_t end = path.find('/', 1);
  if (!path.starts_with('/') || end == std::string::npos) return nullptr;
  const auto found = disks_.find(path.substr(1, end - 1));
  return found == disks_.end() ? nullptr : found->second;
}

}  // namespace krakend::sim
