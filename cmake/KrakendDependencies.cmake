# The outside libraries, each under one short target name. All come from the distribution (packaging/deps.sh).

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)

function(krakend_pkg name module)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${module})
  # -pthread in some units only would make them refuse the precompiled header; Threads::Threads links it anyway.
  get_target_property(options PkgConfig::${name} INTERFACE_COMPILE_OPTIONS)
  if(options)
    list(REMOVE_ITEM options -pthread)
    set_property(TARGET PkgConfig::${name} PROPERTY INTERFACE_COMPILE_OPTIONS ${options})
  endif()
  add_library(${name} INTERFACE IMPORTED)
  target_link_libraries(${name} INTERFACE PkgConfig::${name})
endfunction()

function(krakend_header_library name header)
  find_path(${name}_DIR_FOUND ${header} REQUIRED)
  add_library(${name} INTERFACE IMPORTED)
  target_include_directories(${name} SYSTEM INTERFACE ${${name}_DIR_FOUND})
endfunction()

krakend_header_library(nlohmann_json nlohmann/json.hpp)
krakend_header_library(protozero protozero/pbf_reader.hpp)
krakend_header_library(CLI11 CLI/CLI.hpp)
krakend_header_library(expected tl/expected.hpp)
krakend_header_library(asio asio.hpp)
# aligned_alloc() costs glibc more than malloc(), whose alignment is enough for all coroutine frames here.
target_compile_definitions(asio INTERFACE ASIO_NO_DEPRECATED ASIO_DISABLE_STD_ALIGNED_ALLOC)
target_link_libraries(asio INTERFACE Threads::Threads)

krakend_pkg(httplib cpp-httplib)
krakend_pkg(re2 re2)
find_package(yaml-cpp REQUIRED)

find_library(ISAL_LIBRARY isal REQUIRED)
add_library(isal INTERFACE IMPORTED)
target_link_libraries(isal INTERFACE ${ISAL_LIBRARY})

find_library(PROMETHEUS_CPP_LIBRARY prometheus-cpp-core REQUIRED)
add_library(prometheus_cpp INTERFACE IMPORTED)
target_link_libraries(prometheus_cpp INTERFACE ${PROMETHEUS_CPP_LIBRARY})

find_package(SQLiteCpp REQUIRED)
find_library(SQLITE3_LIBRARY sqlite3 REQUIRED)
add_library(sqlite3 INTERFACE IMPORTED)
target_link_libraries(sqlite3 INTERFACE ${SQLITE3_LIBRARY})
