#include "p2p/message_reader.h"

#include <utility>

namespace krakend::p2p {
namespace {

/// All messages but handshakes and errors fit.
constexpr size_t kept_memory = 64;

}  // namespace

std::span<std::byte> MessageReader::space() {
  if (filled_ < prefix_.size()) return std::span(prefix_).subspan(filled_);
  return std::as_writable_bytes(std::span<char>(body_)).subspan(filled_ - prefix_.size());
}

MessageReader::Taken MessageReader::read_now(io::Stream& stream) {
  while (auto got = stream.read_now(space())) {
    if (auto taken = took(std::move(*got))) return taken;
  }
  return std::nullopt;
}

MessageReader::Taken MessageReader::took(Result<size_t> got) {
  if (!got) return propagate(got);
  if (*got == 0) return fail(Errc::network, "the peer closed the connection");
  filled_ += *got;
  if (filled_ == prefix_.size()) {
    if (auto refused = take_size()) return refused;
  }
  if (filled_ < prefix_.size() + body_.size()) return std::nullopt;
  return take_message();
}

MessageReader::Taken MessageReader::take_size() {
  uint32_t size = 0;
  for (const auto byte : prefix_) size = size << 8 | static_cast<uint32_t>(byte);
  if (size > max_message_size) {
    return fail(Errc::protocol, "peer message of {} bytes exceeds the limit of {}", size, max_message_size);
  }
  body_.resize(size);
  return std::nullopt;
}

MessageReader::Taken MessageReader::take_message() {
  filled_ = 0;
  auto message = decode_message(body_);
  body_.clear();
  if (body_.capacity() > kept_memory) body_.shrink_to_fit();
  return message;
}

Task<Result<Message>> read_message(io::Stream& stream) {
  MessageReader reader;
  auto message = reader.read_now(stream);
  while (!message) {
    auto got = co_await stream.read_some(reader.space());
    message = reader.took(std::move(got));
  }
  co_return std::move(*message);
}

}  // namespace krakend::p2p
