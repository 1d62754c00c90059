# Thin front door; CMake does the work.
BUILD := build/release
JOBS ?= $(shell nproc)

.PHONY: all configure demo test test-asan bench install format clean

all: configure
	cmake --build $(BUILD) -j $(JOBS)

configure:
	@cmake --preset release $(CMAKE_FLAGS) > build-configure.log 2>&1 || (cat build-configure.log; exit 1)
	@rm -f build-configure.log

demo: configure
	cmake --build $(BUILD) -j $(JOBS) --target krakend
	python3 packaging/demo.py --krakend $(BUILD)/krakend $(DEMO_FLAGS)

test: all
	ctest --test-dir $(BUILD) --output-on-failure

test-asan:
	cmake --preset dev
	cmake --build build/dev -j $(JOBS)
	ctest --test-dir build/dev --output-on-failure -L unit

bench: configure
	cmake --build $(BUILD) -j $(JOBS) --target krakend
	python3 tests/bench/bench.py --krakend $(BUILD)/krakend $(BENCH_FLAGS)

install: all
	cmake --install $(BUILD)

format:
	find src include roles tests -name '*.cpp' -o -name '*.h' | xargs clang-format -i

clean:
	rm -rf build
