"""containerd's ctr pulls from an agent: as a registry and through hosts.toml, with a containerd of its own."""

import hashlib
import json
import os
import shutil
import subprocess
import time

import pytest

from images import write_layout
from test_main_job import agents, herd, reference, skopeo  # noqa: F401 (fixtures)

pytestmark = pytest.mark.skipif(shutil.which("containerd") is None or os.geteuid() != 0,
                                reason="containerd is not installed, or not root")
START_LIMIT = 30  # seconds


class Containerd:
    def __init__(self, folder):
        folder.mkdir()
        self.socket = folder / "containerd.sock"
        config = folder / "config.toml"
        config.write_text(f'''version = 2
root = "{folder}/data"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{self.socket}"
''')
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen(["containerd", "--config", str(config)], stdout=self.log, stderr=self.log)

    def await_start(self):
        deadline = time.monotonic() + START_LIMIT
        while self.ctr("version", check=False).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < deadline, \
                (self.socket.parent / "log").read_text()

    def ctr(self, *arguments, check=True, text=True):
        return subprocess.run(["ctr", "--address", str(self.socket), *arguments], check=check, capture_output=True,
                              text=text, timeout=180)

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


@pytest.fixture
def containerd(tmp_path):
    daemon = Containerd(tmp_path / "containerd")
    try:
        daemon.await_start()
        yield daemon
    finally:
        daemon.close()


@pytest.fixture
def image(tmp_path, herd):  # noqa: F811
    """The digest of an image that was pushed as t/app:v1."""
    digest = write_layout(tmp_path / "image")
    skopeo("--preserve-digests", "--dest-tls-verify=false", f"oci:{tmp_path}/image:v1",
           reference(herd, "proxy registry"))
    return digest


def target(containerd, name):
    """The digest that a name stands for."""
    lines = containerd.ctr("images", "ls", f"name=={name}").stdout.splitlines()[1:]
    assert len(lines) == 1, lines
    return lines[0].split()[2]


def layers(path, digest):
    manifest = json.loads((path / "blobs" / "sha256" / digest[7:]).read_text())
    return [layer["digest"] for layer in manifest["layers"]]


def test_ctr_pulls_from_an_agent(tmp_path, containerd, image, agents):  # noqa: F811
    agent = agents(1)
    host, port = agent.ports["agent registry"]
    name = f"{host}:{port}/t/app:v1"
    containerd.ctr("images", "pull", "--plain-http", "--snapshotter", "native", name)
    assert target(containerd, name) == image
    for digest in layers(tmp_path / "image", image):
        held = containerd.ctr("content", "get", digest, text=False).stdout
        assert "sha256:" + hashlib.sha256(held).hexdigest() == digest
        agent.wait_for("download complete digest=" + digest)


def test_ctr_pulls_through_hosts_toml(tmp_path, containerd, image, agents):  # noqa: F811
    host, port = agents(1).ports["agent registry"]
    folder = tmp_path / "hosts" / "registry.example.com"
    folder.mkdir(parents=True)
    (folder / "hosts.toml").write_text(f'''server = "http://{host}:1"
[host."http://{host}:{port}"]
  capabilities = ["pull", "resolve"]
''')
    name = "registry.example.com/t/app:v1"
    containerd.ctr("content", "fetch", "--hosts-dir", str(tmp_path / "hosts"), name)
    assert target(containerd, name) == image


def test_ctr_is_told_that_a_tag_is_missing(containerd, agents):  # noqa: F811
    host, port = agents(1).ports["agent registry"]
    name = f"{host}:{port}/t/app:gone"
    done = containerd.ctr("content", "fetch", "--plain-http", name, check=False)
    assert done.returncode != 0 and f"{name}: not found" in done.stderr, done.stderr


def test_ctr_pushes_to_the_proxy(containerd, image, herd, agents):  # noqa: F811
    host, port = agents(1).ports["agent registry"]
    name = f"{host}:{port}/t/app:v1"
    containerd.ctr("content", "fetch", "--plain-http", name)
    host, port = herd.ports["proxy registry"]
    copy = f"{host}:{port}/t/copy:v1"
    containerd.ctr("images", "tag", name, copy)
    containerd.ctr("images", "push", "--plain-http", copy)
    status, headers, _ = herd.request("proxy registry", "HEAD", "/v2/t/copy/manifests/v1")
    assert status == 200 and headers["Docker-Content-Digest"] == image
