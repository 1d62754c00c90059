# Language level, warnings, sanitizers, ccache: what every target of the project shares.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
# For size: the hot loops are in the kernel, OpenSSL and ISA-L. Half the text of -O2 is 1.5 MiB of resident memory in
# every idle role, and no CPU more on the transfer benchmarks.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-Os -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")

find_program(KRAKEND_CCACHE ccache)
if(KRAKEND_CCACHE)
  # The precompiled header differs in time stamps only; without this ccache refuses every unit that uses it.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${KRAKEND_CCACHE})
endif()

add_library(krakend_flags INTERFACE)
target_include_directories(krakend_flags INTERFACE ${CMAKE_SOURCE_DIR}/include)
target_compile_options(krakend_flags INTERFACE -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor
                                               -Woverloaded-virtual -fno-math-errno)
if(KRAKEND_WERROR)
  target_compile_options(krakend_flags INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # A precompiled header keeps its text only with this, and ccache needs the text.
  target_compile_options(krakend_flags INTERFACE -fpch-preprocess)
  # Fires on every coroutine frame that asio allocates from its own recycler: g++ pairs the frame's operator new
  # with the sized operator delete and takes them for strangers.
  target_compile_options(krakend_flags INTERFACE -Wno-mismatched-new-delete)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # Asio 1.22 looks for <experimental/coroutine> under clang; C++20 coroutines are there all the same.
  target_compile_definitions(krakend_flags INTERFACE ASIO_HAS_CO_AWAIT ASIO_HAS_STD_COROUTINE)
  if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 16)
    # libstdc++ guards <coroutine> with the macro that clang defines only from 16 on.
    target_compile_options(krakend_flags INTERFACE -D__cpp_impl_coroutine=201902L -Wno-builtin-macro-redefined)
  endif()
endif()
if(KRAKEND_SANITIZE)
  target_compile_options(krakend_flags INTERFACE -fsanitize=${KRAKEND_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(krakend_flags INTERFACE -fsanitize=${KRAKEND_SANITIZE})
  if(KRAKEND_SANITIZE MATCHES thread)  # knows no fences; asio's guard nothing that its locks do not
    target_compile_definitions(krakend_flags INTERFACE ASIO_DISABLE_FENCED_BLOCK)
  endif()
endif()
find_program(KRAKEND_LLD ld.lld)
if(KRAKEND_LLD)
  target_link_options(krakend_flags INTERFACE -fuse-ld=lld)
endif()
target_link_options(krakend_flags INTERFACE -Wl,--as-needed -Wl,--gc-sections)
target_compile_options(krakend_flags INTERFACE -ffunction-sections -fdata-sections)
