#pragma once

namespace krakend::daemon {

/// Memory and descriptor limits of the process, before anything is allocated in earnest.
void tune_process();

}  // namespace krakend::daemon
