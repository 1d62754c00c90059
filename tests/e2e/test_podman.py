"""podman pushes to the proxy and pulls from an agent, with a storage of its own."""

import json
import shutil
import subprocess
import tempfile

import pytest

from images import write_layout
from test_main_job import agents, herd  # noqa: F401 (fixtures)

pytestmark = pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed")


class Podman:
    def __init__(self, folder):
        # podman takes at most 50 characters for the run root, so it cannot be in tmp_path.
        self.runroot = tempfile.mkdtemp(prefix="podman-")
        self.command = ["podman", "--root", str(folder / "root"), "--runroot", self.runroot,
                        "--storage-driver", "vfs", "--events-backend", "none"]

    def run(self, *arguments, check=True):
        return subprocess.run([*self.command, *arguments], check=check, capture_output=True, text=True, timeout=180)

    def close(self):
        self.run("system", "reset", "--force", check=False)
        shutil.rmtree(self.runroot, ignore_errors=True)


@pytest.fixture
def podman(tmp_path):
    client = Podman(tmp_path / "podman")
    yield client
    client.close()


def reference(process, port, tag="v1"):
    host, number = process.ports[port]
    return f"{host}:{number}/t/podman:{tag}"


def test_podman_push_and_pull(tmp_path, podman, herd, agents):  # noqa: F811
    write_layout(tmp_path / "image")
    image = podman.run("pull", "-q", f"oci:{tmp_path}/image:v1").stdout.strip()
    target = reference(herd, "proxy registry")
    podman.run("push", "-q", "--tls-verify=false", image, target)
    layers = json.loads(podman.run("inspect", image).stdout)[0]["RootFS"]["Layers"]
    podman.run("rmi", "--all", "--force")

    agent = agents(1)
    pulled = podman.run("pull", "-q", "--tls-verify=false", reference(agent, "agent registry")).stdout.strip()
    assert pulled == image
    assert json.loads(podman.run("inspect", pulled).stdout)[0]["RootFS"]["Layers"] == layers
    assert sum(t["bytes_from_origins"] for t in agent.torrents()) > 0


def test_podman_is_told_that_a_tag_is_missing(podman, agents):  # noqa: F811
    done = podman.run("pull", "-q", "--tls-verify=false", reference(agents(1), "agent registry", "gone"), check=False)
    assert done.returncode != 0 and "manifest unknown" in done.stderr, done.stderr
