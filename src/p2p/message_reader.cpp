#include "p2p/message_reader.h"

#include <optional>
#include <utility>

namespace krakend::p2p {
namespace {

/// All messages but handshakes and errors fit.
constexpr size_t kept_memory = 64;

class OneMessage final : public MessageReader {
 public:
  Result<Message> take() { return std::move(*message_); }

 private:
  bool on_message(Result<Message> message) override {
    message_.emplace(std::move(message));
    return false;
  }
  std::optional<Result<Message>> message_;
};

}  // namespace

std::span<std::byte> MessageReader::space() {
  if (filled_ < prefix_.size()) return std::span(prefix_).subspan(filled_);
  return std::as_writable_bytes(std::span<char>(body_)).subspan(filled_ - prefix_.size());
}

bool MessageReader::took(Result<size_t> got) {
  const auto end_with = [this](tl::unexpected<Error> error) {
    (void)on_message(std::move(error));
    return false;
  };
  if (!got) return end_with(propagate(got));
  if (*got == 0) return end_with(fail(Errc::network, "the peer closed the connection"));
  filled_ += *got;
  if (filled_ == prefix_.size()) {
    uint32_t size = 0;
    for (const auto byte : prefix_) size = size << 8 | static_cast<uint32_t>(byte);
    if (size > max_message_size) {
      return end_with(
          fail(Errc::protocol, "peer message of {} bytes exceeds the limit of {}", size, max_message_size));
    }
    body_.resize(size);
  }
  if (filled_ < prefix_.size() + body_.size()) return true;
  auto message = take_message();
  if (!message) return end_with(propagate(message));
  return on_message(std::move(message));
}

Result<Message> MessageReader::take_message() {
  filled_ = 0;
  auto message = decode_message(body_);
  body_.clear();
  if (body_.capacity() > kept_memory) body_.shrink_to_fit();
  return message;
}

Task<Result<Message>> read_message(io::Stream& stream) {
  OneMessage one;
  co_await stream.read_into(one);
  co_return one.take();
}

}  // namespace krakend::p2p
