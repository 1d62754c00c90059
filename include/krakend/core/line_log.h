#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "krakend/core/result.h"

namespace krakend {

/// Lines that are somebody else's format already, appended to a file, "stdout" or "stderr". A default-made one
/// drops everything. Copies share the file. Thread-safe.
class LineLog {
 public:
  LineLog() = default;
  /// A file is created when it is not there, its folder is not. io, with the path.
  static Result<LineLog> open(const std::string& output);
  explicit operator bool() const { return sink_ != nullptr; }
  /// One line, without its end.
  void write(std::string_view line) const;

 private:
  struct Sink;
  std::shared_ptr<Sink> sink_;
};

}  // namespace krakend
