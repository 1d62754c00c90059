#pragma once

#include <string>
#include <utility>
#include <vector>

#include "krakend/http/message.h"
#include "krakend/io/address_range.h"

namespace krakend::registry {

/// What a client has to put before the registry's paths to reach them again through the reverse proxies that
/// its request came through: X-Forwarded-Proto, -Host and -Prefix, or Forwarded (RFC 7239), the values of the
/// proxy nearest to the client. Only trusted proxies are believed.
class PublicUrl {
 public:
  explicit PublicUrl(std::vector<io::AddressRange> trusted) : trusted_(std::move(trusted)) {}
  /// "https://registry.example/prefix"; empty: paths alone will do.
  std::string base(const http::Request& request) const;
  /// Puts the base before the paths in Location and Link.
  void apply(const http::Request& request, http::Response& response) const;

 private:
  bool is_trusted(const io::Address& peer) const;

  std::vector<io::AddressRange> trusted_;
};

}  // namespace krakend::registry
