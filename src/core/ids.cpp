#include "krakend/core/ids.h"

#include <fmt/format.h>

#include "krakend/core/hash.h"
#include "krakend/core/hex.h"

namespace krakend {

template <class Tag>
Result<Id20<Tag>> Id20<Tag>::parse(std::string_view hex) {
  Id20 id;
  if (!from_hex(hex, id.bytes_)) {
    return fail(Errc::invalid_argument, "id \"{}\" does not have 40 hex characters", hex.substr(0, 64));
  }
  return id;
}

template <class Tag>
std::string Id20<Tag>::hex() const {
  return to_hex(bytes_);
}

template class Id20<struct InfoHashTag>;
template class Id20<struct PeerIdTag>;

PeerId addr_hash_peer_id(std::string_view ip, int port) {
  return PeerId(sha1(fmt::format("{}:{}", ip, port)));
}

}  // namespace krakend
