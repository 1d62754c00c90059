# krakend_module(<name> [ROLE] [DEPENDS <modules>...] [LIBS <outside targets>...])
#
# One static library krakend_<name> from src/<name>/*.cpp (roles: roles/<name>/*.cpp). Its public headers are
# include/krakend/<name>/ (roles: roles/<name>/). DEPENDS is checked by tests/tidy, so it is the whole truth
# about who may include whom.
# krakend_test(<module>) builds tests/unit/<module>/*.cpp into krakend_test_<module>.

add_library(krakend_pch STATIC ${CMAKE_SOURCE_DIR}/cmake/pch.cpp)
target_link_libraries(krakend_pch PUBLIC krakend_flags asio expected nlohmann_json fmt::fmt)
target_precompile_headers(krakend_pch PRIVATE
  <algorithm> <chrono> <cstdint> <functional> <map> <memory> <optional> <span> <string> <string_view>
  <unordered_map> <utility> <variant> <vector> <fmt/format.h> <tl/expected.hpp>
  <asio/awaitable.hpp> <asio/co_spawn.hpp> <asio/io_context.hpp> <asio/use_awaitable.hpp> <asio/post.hpp>)

function(krakend_module name)
  cmake_parse_arguments(ARG "ROLE" "" "DEPENDS;LIBS" ${ARGN})
  set(folder ${CMAKE_SOURCE_DIR}/src/${name})
  if(ARG_ROLE)
    set(folder ${CMAKE_SOURCE_DIR}/roles/${name})
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cpp)
  list(TRANSFORM ARG_DEPENDS PREPEND krakend_)
  if(NOT sources)  # headers only
    add_library(krakend_${name} INTERFACE)
    target_link_libraries(krakend_${name} INTERFACE krakend_flags asio expected nlohmann_json fmt::fmt
                                                    ${ARG_DEPENDS} ${ARG_LIBS})
    return()
  endif()
  add_library(krakend_${name} STATIC ${sources})
  target_precompile_headers(krakend_${name} REUSE_FROM krakend_pch)
  target_include_directories(krakend_${name} PUBLIC ${CMAKE_SOURCE_DIR}/include PRIVATE ${CMAKE_SOURCE_DIR}/src)
  if(ARG_ROLE)
    target_include_directories(krakend_${name} PUBLIC ${CMAKE_SOURCE_DIR})
  endif()
  target_link_libraries(krakend_${name} PUBLIC krakend_flags asio expected nlohmann_json fmt::fmt
                                               ${ARG_DEPENDS} ${ARG_LIBS})
endfunction()

function(krakend_test name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/unit/${name}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(krakend_test_${name} ${sources})
  target_precompile_headers(krakend_test_${name} REUSE_FROM krakend_pch)
  target_include_directories(krakend_test_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests ${CMAKE_SOURCE_DIR}/src
                                                          ${CMAKE_SOURCE_DIR})
  target_link_libraries(krakend_test_${name} PRIVATE krakend_test_support krakend_${name})
  add_test(NAME unit.${name} COMMAND krakend_test_${name})
  set_tests_properties(unit.${name} PROPERTIES TIMEOUT 120 LABELS unit)
endfunction()
