# Thin front door; CMake does the work.
BUILD := build/release
JOBS ?= $(shell nproc)

.PHONY: all configure demo test test-asan bench sim sim-soak headline simulator install format clean

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

SIM := build/sim/tests/sim/krakend-sim
HOSTS ?= 100 1000 2600
N ?= 100

simulator:
	@cmake --preset sim $(CMAKE_FLAGS) > sim-configure.log 2>&1 || (cat sim-configure.log; exit 1)
	@rm -f sim-configure.log
	cmake --build build/sim -j $(JOBS) --target krakend-sim

# A fixed set, and seeds that nobody has run before: each is printed and can be run again.
sim: simulator
	$(SIM) --scenario=regressions
	$(SIM) --scenario=all --seed=1 --runs=4
	$(SIM) --scenario=all --seed=$$(date +%s) --runs=4

sim-soak: simulator
	$(SIM) --scenario=all --seed=$$(date +%s) --runs=$(N)

headline: simulator
	for hosts in $(HOSTS); do \
	  $(SIM) --hosts=$$hosts --results=build/headline-$$hosts.txt && \
	  $(SIM) --hosts=$$hosts --upstream --results=build/headline-$$hosts-upstream.txt && \
	  python3 tests/sim/plot.py --out build/headline-$$hosts.svg --bound 10 --title "3 GB to $$hosts hosts at 300 MB/s" \
	    krakend=build/headline-$$hosts.txt "upstream's constants=build/headline-$$hosts-upstream.txt" || exit 1; \
	done

install: all
	cmake --install $(BUILD)

format:
	find src include roles tests -name '*.cpp' -o -name '*.h' | xargs clang-format -i

clean:
	rm -rf build
