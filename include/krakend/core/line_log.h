#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "krakend/core/result.h"

namespace krakend {

/// A file that other programs read line by line; it is only appended to. A default-made one drops everything.
/// Copies share the file. Thread-safe.
class LineLog {
 public:
  LineLog() = default;
  /// Created when it is not there, its folder is not. io, with the path.
  static Result<LineLog> open(const std::string& path);
  explicit operator bool() const { return sink_ != nullptr; }
  /// One line, without its end.
  void write(std::string_view line) const;

 private:
  struct Sink;
  std::shared_ptr<Sink> sink_;
};

}  // namespace krakend
