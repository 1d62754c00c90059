#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "krakend/http/server.h"

namespace krakend::http {

/// What is turned away first when there is too much to do.
enum class RequestClass {
  probe,    ///< health, readiness, metrics: always answered
  running,  ///< goes on with what has begun: uploads, announces
  fresh,    ///< begins something: pulls
};
RequestClass classify(const Request& request, const ListenOptions& options);

/// Which limit a request met; the names of http_limits_total.
std::string_view limit_name(Limit limit);

/// Who of the requests of a listener is let in. Loop thread; outlives its seats.
class Admission {
 public:
  Admission(const ListenOptions& limits, const bool& overload) : limits_(limits), overload_(overload) {}

  /// One request's place among those that run; gives it back at its end.
  class Seat {
   public:
    Seat() = default;
    Seat(Admission& admission, bool upload) : admission_(&admission), upload_(upload) {
      ++admission_->requests_;
      if (upload_) ++admission_->uploads_;
    }
    Seat(Seat&& other) noexcept
        : admission_(std::exchange(other.admission_, nullptr)), upload_(other.upload_) {}
    Seat& operator=(Seat&&) = delete;
    ~Seat() {
      if (admission_ == nullptr) return;
      --admission_->requests_;
      if (upload_) --admission_->uploads_;
    }

   private:
    Admission* admission_ = nullptr;
    bool upload_ = false;
  };

  /// `upload`: the request brings a large body. `crowded`: its connection is one too many.
  tl::expected<Seat, Limit> enter(RequestClass kind, bool upload, bool crowded);
  size_t requests() const { return requests_; }
  size_t uploads() const { return uploads_; }

 private:
  const ListenOptions& limits_;
  const bool& overload_;
  size_t requests_ = 0;
  size_t uploads_ = 0;
};

/// 503 with Retry-After.
Response overloaded(Limit limit, const ListenOptions& limits);

}  // namespace krakend::http
