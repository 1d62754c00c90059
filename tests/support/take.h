#pragma once

#include <stdexcept>
#include <utility>

#include "krakend/core/result.h"

namespace krakend::test {

/// The value of a result that a test cannot go on without.
template <class T>
T take(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}
inline void take(const Result<void>& result) {
  if (!result) throw std::runtime_error(result.error().message);
}

}  // namespace krakend::test
