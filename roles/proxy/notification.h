#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/result.h"

namespace krakend::proxy {

/// A manifest that somebody has pushed to a registry.
struct PushedManifest {
  std::string repository;
  std::string digest;  ///< as the registry wrote it
};

/// The images among the events of a docker-distribution notification (contract http-api §8.2): pushes of
/// Docker and OCI manifests, not of lists and indexes. The error says what cannot be read.
Result<std::vector<PushedManifest>> pushed_manifests(const std::string& body);

/// "2026-01-02T03:04:05.6+01:00"
bool is_rfc3339(std::string_view text);
bool is_image_manifest(std::string_view media_type);

}  // namespace krakend::proxy
