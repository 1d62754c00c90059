#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace krakend::daemon {

/// The candidate that a person most likely meant by `word`; empty when none is near enough to be worth
/// saying.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace krakend::daemon
