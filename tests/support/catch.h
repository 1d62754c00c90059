#pragma once

// Catch2 version 2 and 3 differ in header names only, as far as these tests use it.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
