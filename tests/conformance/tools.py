"""Go programs that the tests run, built once into a cache: ${KRAKEND_TOOLS:-~/.cache/krakend-tools}."""

import os
import shutil
import subprocess

import pytest

CACHE = os.environ.get("KRAKEND_TOOLS") or os.path.expanduser("~/.cache/krakend-tools")
BUILD_LIMIT = 900  # seconds
# The wanted versions stand here alone: a newer suite is a decision, not an accident.
SUITE = "github.com/opencontainers/distribution-spec/conformance"
CURRENT_SUITE = SUITE + "@v0.0.0-20260831232431-97274622c111"
WORKFLOW_SUITE = SUITE + "@v0.0.0-20231101194043-f2182352d4cc"


def run_go(*arguments, cwd=None, **environment):
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        pytest.skip("go is not installed: the conformance suites cannot be built")
    done = subprocess.run(["nice", go, *arguments], cwd=cwd, capture_output=True, text=True, timeout=BUILD_LIMIT,
                          env={**os.environ, "CGO_ENABLED": "0", **environment})
    if done.returncode != 0:
        pytest.skip(f"go {arguments[0]}: {done.stderr.strip()[-400:]}")


def installed(module):
    """Path of the program of a module ("path@version")."""
    path, version = module.split("@")
    folder = os.path.join(CACHE, f"{path.replace('/', '_')}@{version}")
    program = os.path.join(folder, path.rsplit("/", 1)[-1])
    if not os.path.exists(program):
        os.makedirs(folder, exist_ok=True)
        run_go("install", "-ldflags=-s -w", module, GOBIN=folder)
    return program


def test_program(module):
    """Path of the compiled tests of a module."""
    path, version = module.split("@")
    folder = os.path.join(CACHE, f"{path.replace('/', '_')}@{version}")
    program = os.path.join(folder, "suite.test")
    if not os.path.exists(program):
        os.makedirs(folder, exist_ok=True)
        if not os.path.exists(os.path.join(folder, "go.mod")):
            run_go("mod", "init", "suite", cwd=folder)
        run_go("get", "-t", module, cwd=folder)
        run_go("test", "-c", "-o", program, path, cwd=folder)
    return program


test_program.__test__ = False  # pytest takes it for a test by its name
