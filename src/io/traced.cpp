#include "krakend/io/traced.h"

#include <asio/execution.hpp>
#include <asio/prefer.hpp>
#include <asio/query.hpp>
#include <asio/require.hpp>
#include <type_traits>
#include <utility>

namespace krakend::io {
namespace {

/// An executor around another one: what it runs sees the trace. Its properties are those of the inner one.
template <class Inner>
class TracedExecutor {
 public:
  TracedExecutor(Inner inner, TracePtr trace) : inner_(std::move(inner)), trace_(std::move(trace)) {}

  template <class Property>
  requires(asio::can_query_v<const Inner&, Property>) decltype(auto) query(const Property& property) const
      noexcept(asio::is_nothrow_query_v<const Inner&, Property>) {
    return asio::query(inner_, property);
  }
  template <class Property>
  requires(asio::can_require_v<const Inner&, Property>) auto require(const Property& property) const {
    return wrap(asio::require(inner_, property));
  }
  template <class Property>
  requires(asio::can_prefer_v<const Inner&, Property>) auto prefer(const Property& property) const {
    return wrap(asio::prefer(inner_, property));
  }
  template <class Function>
  void execute(Function&& function) const {
    inner_.execute(
        [trace = trace_, work = std::decay_t<Function>(std::forward<Function>(function))]() mutable {
          const TraceScope scope(std::move(trace));
          std::move(work)();
        });
  }
  friend bool operator==(const TracedExecutor& a, const TracedExecutor& b) noexcept {
    return a.inner_ == b.inner_ && a.trace_ == b.trace_;
  }
  friend bool operator!=(const TracedExecutor& a, const TracedExecutor& b) noexcept { return !(a == b); }

 private:
  template <class Other>
  TracedExecutor<std::decay_t<Other>> wrap(Other&& other) const {
    return {std::forward<Other>(other), trace_};
  }

  Inner inner_;
  TracePtr trace_;
};

}  // namespace

asio::any_io_executor traced(const Loop& loop, TracePtr trace) {
  if (!trace) return loop.executor();
  return TracedExecutor<asio::any_io_executor>(loop.executor(), std::move(trace));
}

}  // namespace krakend::io
