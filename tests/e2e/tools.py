"""Go programs that the tests run, built once into a cache: ${KRAKEND_TOOLS:-~/.cache/krakend-tools}."""

import os
import shutil
import subprocess

import pytest

CACHE = os.environ.get("KRAKEND_TOOLS") or os.path.expanduser("~/.cache/krakend-tools")
BUILD_LIMIT = 1500  # seconds: cosign takes ten minutes on two busy cores
# The wanted versions stand here alone: a newer one is a decision, not an accident.
CRANE = "github.com/google/go-containerregistry/cmd/crane@v0.22.1"
ORAS = "oras.land/oras/cmd/oras@v1.3.6"
REGCTL = "github.com/regclient/regclient/cmd/regctl@v0.11.7"
COSIGN = "github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3"
HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0"
SUITE = "github.com/opencontainers/distribution-spec/conformance"
CURRENT_SUITE = SUITE + "@v0.0.0-20260831232431-97274622c111"
WORKFLOW_SUITE = SUITE + "@v0.0.0-20231101194043-f2182352d4cc"


def run_go(*arguments, cwd=None, **environment):
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        pytest.skip("go is not installed: programs of Go modules cannot be built")
    done = subprocess.run(["nice", go, *arguments], cwd=cwd, capture_output=True, text=True, timeout=BUILD_LIMIT,
                          env={**os.environ, "CGO_ENABLED": "0", **environment})
    if done.returncode != 0:
        pytest.skip(f"go {arguments[0]}: {done.stderr.strip()[-400:]}")


def place(module):
    """Import path of a module ("path@version"), and its folder in the cache."""
    path, version = module.split("@")
    folder = os.path.join(CACHE, f"{path.replace('/', '_')}@{version}")
    os.makedirs(folder, exist_ok=True)
    return path, folder


def installed(module, only_if_there=False):
    """Path of the program of a module, which is built unless it is there."""
    path, folder = place(module)
    program = os.path.join(folder, os.path.basename(path))
    if not os.path.exists(program):
        if only_if_there and not os.environ.get("KRAKEND_ALL_CLIENTS"):
            pytest.skip(f"{os.path.basename(path)} is not built: KRAKEND_ALL_CLIENTS=1 builds it, in minutes")
        run_go("install", "-ldflags=-s -w", module, GOBIN=folder)
    return program


def compiled_tests(module):
    """Path of a program that runs the tests of a module."""
    path, folder = place(module)
    program = os.path.join(folder, "suite.test")
    if not os.path.exists(program):
        if not os.path.exists(os.path.join(folder, "go.mod")):
            run_go("mod", "init", "suite", cwd=folder)
        run_go("get", "-t", module, cwd=folder)
        run_go("test", "-c", "-o", program, path, cwd=folder)
    return program
