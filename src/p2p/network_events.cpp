#include "p2p/network_events.h"

#include <fmt/chrono.h>

#include <nlohmann/json.hpp>

namespace krakend::p2p {

std::string rfc3339(std::chrono::system_clock::time_point time) {
  const auto nanoseconds =
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
  constexpr int64_t second = 1'000'000'000;
  std::string text =
      fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(static_cast<std::time_t>(nanoseconds / second)));
  if (nanoseconds % second != 0) {
    text += fmt::format(".{:09}", nanoseconds % second);
    text.erase(text.find_last_not_of('0') + 1);
  }
  return text + "Z";
}

void NetworkEvents::write_line(std::string_view event, const InfoHash& torrent,
                               const Details& details) const {
  nlohmann::ordered_json line{
      {"event", event}, {"torrent", torrent.hex()}, {"self", self_.hex()}, {"ts", rfc3339(clock_.wall())}};
  if (details.peer) line["peer"] = details.peer->hex();
  if (details.piece != 0) line["piece"] = details.piece;
  if (details.bitfield != nullptr && details.bitfield->size() > 0 &&
      details.bitfield->size() <= max_bitfield) {
    auto bits = nlohmann::ordered_json::array();
    for (PieceIndex index = 0; index < details.bitfield->size(); ++index)
      bits.push_back(details.bitfield->test(index));
    line["bitfield"] = std::move(bits);
  }
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(details.duration).count();
  if (milliseconds != 0) line["duration_ms"] = milliseconds;
  if (details.conn_capacity != 0) line["conn_capacity"] = details.conn_capacity;
  file_.write(line.dump());
}

}  // namespace krakend::p2p
