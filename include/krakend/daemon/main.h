#pragma once

namespace krakend::daemon {

/// The whole program: parses flags and configuration, wires the roles, runs until SIGTERM. Exit status 0: clean
/// stop; 1: could not start or had to stop; 2: wrong usage.
int run(int argc, char** argv);

}  // namespace krakend::daemon
