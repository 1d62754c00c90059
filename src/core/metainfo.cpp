#include "krakend/core/metainfo.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "krakend/core/hash.h"

namespace krakend {
namespace {

/// Pieces of a blob; more than max_pieces is reported by the caller.
uint64_t count_pieces(uint64_t length, uint64_t piece_length) {
  return length / piece_length + (length % piece_length != 0 ? 1 : 0);
}

Result<uint64_t> unsigned_member(const nlohmann::json& info, const char* key) {
  const auto found = info.find(key);
  if (found == info.end() || !found->is_number_integer() ||
      (!found->is_number_unsigned() && found->get<int64_t>() < 0)) {
    return fail(Errc::invalid_argument, "metainfo: {} is not a non-negative integer", key);
  }
  return found->get<uint64_t>();
}

Result<std::vector<uint32_t>> piece_sums_of(const nlohmann::json& info) {
  std::vector<uint32_t> sums;
  const auto found = info.find("PieceSums");
  if (found == info.end() || found->is_null()) return sums;
  if (!found->is_array()) return fail(Errc::invalid_argument, "metainfo: PieceSums is not a list");
  if (found->size() > max_pieces) {
    return fail(Errc::too_large, "metainfo: {} pieces exceed the limit of {}", found->size(), max_pieces);
  }
  for (const auto& sum : *found) {
    if (!sum.is_number_unsigned() || sum.get<uint64_t>() > 0xFFFFFFFF) {
      return fail(Errc::invalid_argument, "metainfo: piece sum is not a 32-bit number");
    }
    sums.push_back(sum.get<uint32_t>());
  }
  return sums;
}

}  // namespace

Result<MetaInfo> MetaInfo::make(Digest digest, uint64_t length, uint64_t piece_length,
                                std::vector<uint32_t> sums) {
  if (piece_length == 0) return fail(Errc::invalid_argument, "piece length must be positive");
  const auto pieces = count_pieces(length, piece_length);
  if (pieces > max_pieces) {
    return fail(Errc::too_large, "{} bytes in pieces of {} are {} pieces, the limit is {}", length,
                piece_length, pieces, max_pieces);
  }
  if (pieces != sums.size()) {
    return fail(Errc::invalid_argument, "metainfo: {} piece sums for {} pieces", sums.size(), pieces);
  }
  // A piece travels with a signed 32-bit length.
  if (std::min(length, piece_length) > 0x7FFFFFFF)
    return fail(Errc::too_large, "piece length {} exceeds 2 GiB", piece_length);
  MetaInfo info;
  info.digest_ = digest;
  info.length_ = length;
  info.piece_length_ = piece_length;
  info.sums_ = std::move(sums);
  info.info_hash_ = InfoHash(sha1(bencode_info(info)));
  return info;
}

Result<MetaInfo> MetaInfo::parse(std::string_view json) {
  const auto document = nlohmann::json::parse(json, nullptr, false);
  if (!document.is_object()) return fail(Errc::invalid_argument, "metainfo is not a JSON object");
  const auto info = document.find("Info");
  if (info == document.end() || !info->is_object())
    return fail(Errc::invalid_argument, "metainfo: no Info object");
  const auto name = info->find("Name");
  if (name == info->end() || !name->is_string())
    return fail(Errc::invalid_argument, "metainfo: Name is not a string");
  auto digest = Digest::parse_hex(name->get_ref<const std::string&>());
  if (!digest) return propagate(digest);
  auto length = unsigned_member(*info, "Length");
  if (!length) return propagate(length);
  auto piece_length = unsigned_member(*info, "PieceLength");
  if (!piece_length) return propagate(piece_length);
  auto sums = piece_sums_of(*info);
  if (!sums) return propagate(sums);
  return make(*digest, *length, *piece_length, std::move(*sums));
}

std::string MetaInfo::json() const {
  std::string text = fmt::format(R"({{"Info":{{"PieceLength":{},"PieceSums":)", piece_length_);
  if (sums_.empty()) {
    text += "null";
  } else {
    text += fmt::format("[{}]", fmt::join(sums_, ","));
  }
  return text + fmt::format(R"(,"Name":"{}","Length":{}}}}})", digest_.hex(), length_);
}

uint64_t MetaInfo::piece_size(PieceIndex index) const {
  if (index >= sums_.size()) return 0;
  return std::min(piece_length_, length_ - piece_offset(index));
}

std::string bencode_info(const MetaInfo& info) {
  std::string text = fmt::format("d6:Lengthi{}e4:Name64:{}11:PieceLengthi{}e9:PieceSumsl", info.length(),
                                 info.digest().hex(), info.piece_length());
  for (const uint32_t sum : info.piece_sums()) fmt::format_to(std::back_inserter(text), "i{}e", sum);
  return text + "ee";
}

void PieceSummer::update(std::span<const std::byte> data) {
  while (!data.empty()) {
    const uint64_t room = piece_length_ - length_ % piece_length_;
    const auto part = data.first(std::min<uint64_t>(room, data.size()));
    current_ = crc32(current_, part);
    length_ += part.size();
    data = data.subspan(part.size());
    if (length_ % piece_length_ == 0) {
      sums_.push_back(current_);
      current_ = 0;
    }
  }
}

std::vector<uint32_t> PieceSummer::take() {
  if (length_ % piece_length_ != 0) sums_.push_back(current_);
  length_ = 0;
  current_ = 0;
  return std::move(sums_);
}

std::vector<uint32_t> PieceSummer::take(uint64_t piece_length) {
  const uint64_t length = length_;
  const std::vector<uint32_t> parts = take();
  const uint64_t parts_of_piece = piece_length / piece_length_;
  std::vector<uint32_t> sums;
  for (uint64_t i = 0; i < parts.size(); ++i) {
    if (i % parts_of_piece == 0)
      sums.push_back(parts[i]);
    else
      sums.back() = crc32_combine(sums.back(), parts[i], std::min(piece_length_, length - i * piece_length_));
  }
  return sums;
}

}  // namespace krakend
