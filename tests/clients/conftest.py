import os
import shutil
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster  # noqa: E402
from registry import Registry  # noqa: E402


@pytest.fixture(autouse=True)
def emptied(tmp_path):
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """A herd that may delete, and an agent; every request is in their logs."""
    folder = tmp_path_factory.mktemp("registry")
    config = folder / "herd.yaml"
    config.write_text("proxy:\n  registry: {delete_enabled: true}\n")
    herd = cluster.herd(folder, f"--config={config}", "--listen-address=127.0.0.1", "--log-level=debug")
    # On 127.0.0.1 too: go-containerregistry takes it for plain HTTP, other loopback addresses not always.
    agent = cluster.agent(folder, herd, 0)
    yield Registry(herd, agent)
    agent.stop()
    herd.stop()
    shutil.rmtree(folder, ignore_errors=True)
