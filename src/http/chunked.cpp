#include "http/chunked.h"

#include <algorithm>
#include <charconv>

#include "http/field.h"
#include "krakend/core/hex.h"

namespace krakend::http {

Result<void> ChunkDecoder::write(std::span<const std::byte> data) {
  while (!data.empty()) {
    if (state_ == State::done) return keep_surplus(data);
    if (state_ == State::data) {
      auto taken = take_data(data);
      if (!taken) return propagate(taken);
      data = data.subspan(*taken);
      continue;
    }
    const auto text = as_text(data);
    const auto newline = text.find('\n');
    line_ += text.substr(0, newline);
    if (line_.size() > max_line)
      return fail(Errc::invalid_argument, "chunk header line exceeds {} bytes", max_line);
    if (newline == std::string_view::npos) return {};
    data = data.subspan(newline + 1);
    if (auto ended = end_of_line(); !ended) return ended;
  }
  return {};
}

Result<size_t> ChunkDecoder::take_data(std::span<const std::byte> data) {
  const auto part = data.first(static_cast<size_t>(std::min<uint64_t>(data.size(), chunk_left_)));
  if (decoded_ + part.size() > limit_) return fail(Errc::too_large, "request body exceeds {} bytes", limit_);
  if (auto written = out_.write(part); !written) return propagate(written);
  decoded_ += part.size();
  chunk_left_ -= part.size();
  if (chunk_left_ == 0) state_ = State::data_end;
  return part.size();
}

Result<void> ChunkDecoder::keep_surplus(std::span<const std::byte> data) {
  if (surplus_.size() + data.size() > max_surplus) {
    return fail(Errc::invalid_argument, "more than {} bytes sent ahead of the answer", max_surplus);
  }
  surplus_ += as_text(data);
  return {};
}

Result<void> ChunkDecoder::end_of_line() {
  if (!line_.ends_with('\r')) return fail(Errc::invalid_argument, "chunk header line ends without CR");
  line_.pop_back();
  if (!is_field_value(line_)) return fail(Errc::invalid_argument, "control character in a chunk header line");
  switch (state_) {
    case State::size_line:
      return start_chunk();
    case State::data_end:
      if (!line_.empty()) return fail(Errc::invalid_argument, "chunk is longer than its size says");
      state_ = State::size_line;
      break;
    case State::trailer:
      trailer_bytes_ += line_.size();
      if (trailer_bytes_ > max_trailers)
        return fail(Errc::invalid_argument, "trailers exceed {} bytes", max_trailers);
      if (line_.empty()) state_ = State::done;
      break;
    case State::data:
    case State::done:
      break;
  }
  line_.clear();
  return {};
}

Result<void> ChunkDecoder::start_chunk() {
  const auto digits = trim(std::string_view(line_).substr(0, line_.find(';')));
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), chunk_left_, 16);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    return fail(Errc::invalid_argument, "bad chunk size");
  }
  state_ = chunk_left_ == 0 ? State::trailer : State::data;
  line_.clear();
  return {};
}

}  // namespace krakend::http
