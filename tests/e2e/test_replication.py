"""Two clusters: what is pushed to one is pulled from the other."""

import hashlib
import json
import os

import pytest

import cluster
from images import MIB, OCI
from test_limits_of_the_host import await_until

PORTS = {"blobserver": 15002, "tracker": 15003, "proxy": 15000}
INDEX_PORT = 15004
LIMIT = 60  # seconds for a tag to arrive


class Site:
    """One cluster at an address of its own: the build-index is a process by itself."""

    def __init__(self, folder, address, remotes=None):
        self.folder, self.address = folder, address
        where = [f"--listen-address={address}"]
        self.rest = cluster.Process(
            "origin,tracker,proxy", folder / f"rest-{address}", *where, f"--peer-ip={address}", "--peer-port=0",
            f"--build-index={address}:{INDEX_PORT}", *[f"--{name}-port={port}" for name, port in PORTS.items()])
        config = folder / f"{address}.yaml"
        config.write_text(json.dumps({"remotes": remotes or {}, "tag_replication": {"retry_interval": "1s"}}))
        self.index = cluster.Process("build-index", folder / f"index-{address}", *where, f"--port={INDEX_PORT}",
                                     f"--origin={address}:{PORTS['blobserver']}", f"--config={config}")

    def stop(self):
        self.index.stop()
        self.rest.stop()

    def start(self):
        self.rest.ended = self.index.ended = False
        self.rest.start()
        self.index.start()

    def push(self, repo):
        """An image of one layer; its tag is v1."""
        blobs = [b"{}", os.urandom(5 * MIB)]
        config, layer = ({"digest": cluster.push_blob(self.rest, blob, repo), "size": len(blob)} for blob in blobs)
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
            "config": {"mediaType": OCI + "config.v1+json", **config},
            "layers": [{"mediaType": OCI + "layer.v1.tar", **layer}]}).encode()
        status, _, body = self.rest.request("proxy registry", "PUT", f"/v2/{repo}/manifests/v1", manifest,
                                            {"Content-Type": OCI + "manifest.v1+json"})
        assert status == 201, body
        return manifest, {layer["digest"]: blobs[1]}

    def tag(self, repo):
        """Digest that the build-index tells, or None."""
        status, _, body = self.index.request("build-index api", "GET", f"/tags/{repo.replace('/', '%2F')}:v1")
        return body.decode() if status == 200 else None

    def pull(self, repo):
        """Manifest and layers, by an agent that has nothing yet."""
        agent = cluster.Process(
            "agent", self.folder / f"agent-{self.address}", "--listen-address=127.0.0.1", "--peer-ip=127.0.0.1",
            "--peer-port=0", "--agent-registry-port=0", "--agent-server-port=0",
            f"--tracker={self.address}:{PORTS['tracker']}", f"--build-index={self.address}:{INDEX_PORT}")
        try:
            manifest = agent.request("agent registry", "GET", f"/v2/{repo}/manifests/v1")[2]
            layers = [layer["digest"] for layer in json.loads(manifest)["layers"]]
            return manifest, {digest: agent.request("agent registry", "GET", f"/v2/{repo}/blobs/{digest}")[2]
                              for digest in layers}
        finally:
            agent.stop()

    def metric(self, name):
        lines = self.index.request("build-index api", "GET", "/metrics")[2].decode().splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(f"krakend_{name}{{"))


@pytest.fixture
def sites(tmp_path):
    there = Site(tmp_path, "127.0.0.72")
    here = Site(tmp_path, "127.0.0.71", {f"{there.address}:{INDEX_PORT}": ["^wanted/"]})
    yield here, there
    here.stop()
    there.stop()


def digest_of(manifest):
    return "sha256:" + hashlib.sha256(manifest).hexdigest()


def test_a_push_in_one_cluster_is_pulled_in_the_other(sites):
    here, there = sites
    kept, _ = here.push("kept/app")
    manifest, layers = here.push("wanted/app")
    await_until(lambda: there.tag("wanted/app") == digest_of(manifest), LIMIT)
    assert there.pull("wanted/app") == (manifest, layers)
    assert here.tag("kept/app") == digest_of(kept)
    assert there.tag("kept/app") is None
    assert here.metric("tag_replication_tags_total") == 1


def test_a_remote_that_is_down_gets_it_when_it_is_back_though_the_build_index_was_killed(sites):
    here, there = sites
    there.stop()
    manifest, layers = here.push("wanted/app")
    here.index.wait_for("remote .* is away")
    here.index.kill()
    here.index.ended = False
    here.index.start()
    here.index.wait_for("1 tasks are left from before the start")
    here.index.wait_for("remote .* is away")
    assert here.metric("tag_replication_tasks") == 1
    attempts = here.metric("tag_replication_failures_total")
    await_until(lambda: here.metric("tag_replication_failures_total") > attempts + 2, LIMIT)
    assert here.metric("tag_replication_remotes_away") == 1
    there.start()
    await_until(lambda: there.tag("wanted/app") == digest_of(manifest), LIMIT)
    assert there.pull("wanted/app") == (manifest, layers)
    assert len([line for line in here.index.log if "is away" in line]) == 1
    assert here.index.wait_for("remote .* is back")
    await_until(lambda: here.metric("tag_replication_tasks") == 0, LIMIT)


def test_a_pattern_that_is_none_ends_the_start(tmp_path):
    config = tmp_path / "index.yaml"
    config.write_text('remotes: {"127.0.0.72:15004": ["a("]}')
    with pytest.raises(AssertionError) as failed:
        cluster.Process("build-index", tmp_path / "index", "--listen-address=127.0.0.1", "--port=0",
                        "--origin=127.0.0.1:1", f"--config={config}")
    assert 'remotes: 127.0.0.72:15004: regular expression "a("' in str(failed.value)
