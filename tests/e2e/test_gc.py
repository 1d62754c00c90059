"""Garbage collection in a running cluster: what no tag leads to goes, what somebody relies on stays."""

import hashlib
import json
import os
import random
import subprocess
import threading
import time

import pytest

from cluster import KRAKEND, Process, agent, herd

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
GC_LIMIT = 120


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Registry:
    """A client of the registry at `port` of `process`."""

    def __init__(self, process, port="proxy registry", repo="t/app"):
        self.process, self.port, self.repo = process, port, repo

    def call(self, method, path, body=None, headers=None):
        return self.process.request(self.port, method, f"/v2/{self.repo}/{path}", body, headers)

    def push_blob(self, data):
        """As clients do: only what the registry says it has not is sent."""
        digest = sha256(data)
        if self.call("HEAD", f"blobs/{digest}")[0] == 200:
            return digest
        status, _, body = self.call("POST", f"blobs/uploads/?digest={digest}", data)
        assert status == 201, body
        return digest

    def push_manifest(self, reference, layers, **more):
        config = self.push_blob(b"{}")
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, **more,
                               "config": {"mediaType": "application/json", "size": 2, "digest": config},
                               "layers": [{"mediaType": "application/octet-stream", "size": len(layer),
                                           "digest": sha256(layer)} for layer in layers]}).encode()
        status, _, body = self.call("PUT", f"manifests/{reference or sha256(manifest)}", manifest,
                                    {"Content-Type": MANIFEST})
        assert status == 201, body
        return manifest

    def push_image(self, reference, layers, **more):
        for layer in layers:
            self.push_blob(layer)
        return self.push_manifest(reference, layers, **more)

    def has_blob(self, digest):
        return self.call("HEAD", f"blobs/{digest}")[0] == 200

    def check_image(self, tag):
        """Everything that a tag leads to is there, byte for byte."""
        status, headers, body = self.call("GET", f"manifests/{tag}")
        assert status == 200, (tag, body)
        assert sha256(body) == headers["Docker-Content-Digest"]
        manifest = json.loads(body)
        for blob in [manifest["config"], *manifest["layers"]]:
            status, _, content = self.call("GET", f"blobs/{blob['digest']}")
            assert (status, sha256(content)) == (200, blob["digest"]), tag


def run_gc(process, *flags):
    """Exit status and output of `krakend gc`."""
    ports = process.ports
    command = [KRAKEND, "gc", "--origin={}:{}".format(*ports["origin blobserver"]),
               "--build-index={}:{}".format(*ports["build-index api"]), *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=GC_LIMIT)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def cluster_process(tmp_path):
    config = tmp_path / "herd.yaml"
    config.write_text("proxy:\n  registry: {delete_enabled: true}\n")
    process = herd(tmp_path, f"--config={config}", "--listen-address=127.0.0.1")
    yield process
    process.stop()


def wait_until_old(seconds):
    """Until what was used before counts as unused for so long."""
    time.sleep(seconds + 0.2)


def test_what_no_tag_leads_to_goes(cluster_process, tmp_path):
    registry = Registry(cluster_process)
    old = registry.push_image("v1", [b"old layer", b"shared layer"])
    new = registry.push_image("v1", [b"new layer", b"shared layer"])
    child = registry.push_image(None, [b"child layer"])
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": MANIFEST, "size": len(child), "digest": sha256(child)}]}).encode()
    assert registry.call("PUT", "manifests/multi", index, {"Content-Type": INDEX})[0] == 201
    orphan = registry.push_blob(b"pushed without a manifest")
    wait_until_old(1)

    status, said = run_gc(cluster_process, "--min-age=1s")
    assert status == 0
    assert "would be removed: 3 blobs" in said
    for garbage in (sha256(old), sha256(b"old layer"), orphan):
        assert f"{garbage} would be removed" in said

    status, said = run_gc(cluster_process, "--min-age=1s", "--delete")
    assert (status, "removed: 3 blobs" in said) == (0, True), said
    for garbage in (sha256(old), sha256(b"old layer"), orphan):
        assert not registry.has_blob(garbage)
        assert not any(garbage[7:] in folder for folder, _, files in os.walk(cluster_process.data_dir) if files)
    registry.check_image("v1")
    registry.check_image(sha256(child))
    assert registry.call("GET", f"manifests/{sha256(new)}")[2] == new
    assert registry.call("GET", "manifests/multi")[2] == index
    puller = agent(tmp_path, cluster_process, 1)
    Registry(puller, "agent registry").check_image("v1")
    puller.stop()
    # Pushed again it is there again.
    registry.push_image("v2", [b"old layer", b"shared layer"])
    registry.check_image("v2")


def test_referrers_and_other_digests_go_with_their_subject(cluster_process):
    registry = Registry(cluster_process)
    subject = registry.push_image("v1", [b"layer"])
    registry.push_image(None, [b"signature"], artifactType="application/x-signature",
                        subject={"mediaType": MANIFEST, "size": len(subject), "digest": sha256(subject)})
    sha512 = "sha512:" + hashlib.sha512(b"by another name").hexdigest()
    assert registry.call("POST", f"blobs/uploads/?digest={sha512}", b"by another name")[0] == 201
    wait_until_old(1)
    status, said = run_gc(cluster_process, "--min-age=1s", "--delete")
    assert (status, "removed: 1 blobs" in said) == (0, True), said
    assert registry.call("HEAD", f"blobs/{sha512}")[0] == 404
    referrers = json.loads(registry.call("GET", f"referrers/{sha256(subject)}")[2])["manifests"]
    assert len(referrers) == 1 and registry.has_blob(sha256(b"signature"))

    assert registry.call("DELETE", "manifests/v1")[0] == 202
    wait_until_old(1)
    status, said = run_gc(cluster_process, "--min-age=1s", "--delete")
    # Subject, its layer, the signature, its layer, the config of both, and the list of referrers.
    assert (status, "removed: 6 blobs" in said) == (0, True), said
    assert "in use: 0 blobs" in said
    assert json.loads(registry.call("GET", f"referrers/{sha256(subject)}")[2])["manifests"] == []


def test_what_was_used_lately_stays(cluster_process):
    registry = Registry(cluster_process)
    digest = registry.push_blob(b"a push that is under way")
    status, said = run_gc(cluster_process, "--min-age=1h", "--delete")
    assert (status, "only of the last" in said) == (0, True), said
    wait_until_old(2)
    assert registry.has_blob(digest)
    status, said = run_gc(cluster_process, "--min-age=2s", "--delete")
    assert (status, "1 stay for now" in said) == (0, True), said
    assert registry.has_blob(digest)


def test_what_cannot_be_known_stops_it(cluster_process):
    registry = Registry(cluster_process)
    manifest = registry.push_image("v1", [b"layer"])
    for folder, _, _ in os.walk(cluster_process.data_dir):
        if folder.endswith(sha256(manifest)[7:]):
            os.rename(folder, folder + ".lost")
    wait_until_old(1)
    status, said = run_gc(cluster_process, "--min-age=1s", "--delete")
    assert status == 1 and "t/app:v1: manifest" in said and "--skip-missing" in said, said
    assert registry.has_blob(sha256(b"layer"))
    host, port = cluster_process.ports["origin blobserver"]
    done = subprocess.run([KRAKEND, "gc", f"--origin={host}:1", f"--build-index={host}:1"], capture_output=True,
                          text=True, timeout=GC_LIMIT)
    assert done.returncode == 1 and f"{host}:1" in done.stderr
    done = subprocess.run([KRAKEND, "gc", f"--origin={host}"], capture_output=True, text=True, timeout=GC_LIMIT)
    assert done.returncode == 2 and "HOST:PORT" in done.stderr


class Pushers:
    """Clients that push images of a common stock of layers under a few tags, which so come and go."""

    def __init__(self, process, seed, until):
        self.process, self.until = process, until
        self.stock = [f"layer {number} {seed}".encode() for number in range(300)]
        self.failures, self.pushes = [], 0
        self.threads = [threading.Thread(target=self.run, args=(f"t/app{index}", random.Random(seed + index)))
                        for index in range(3)]
        for thread in self.threads:
            thread.start()

    def run(self, repo, choice):
        registry = Registry(self.process, repo=repo)
        try:
            while time.monotonic() < self.until and not self.failures:
                registry.push_image(f"v{choice.randrange(5)}", choice.sample(self.stock, 4))
                self.pushes += 1
                time.sleep(0.05)
        except AssertionError as failure:
            self.failures.append(failure)

    def join(self):
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize("origins", [1, 2])
def test_pushes_race_with_the_collector(tmp_path, request, origins):
    """For half a minute each with one origin and with two: nothing that was pushed is lost."""
    seed = random.randrange(10**6)
    print("seed", seed)
    processes = start_cluster(tmp_path, origins)
    for process in processes:
        request.addfinalizer(process.stop)
    front = processes[-1]
    pushers = Pushers(front, seed, time.monotonic() + 30)
    removed = 0
    while any(thread.is_alive() for thread in pushers.threads):
        status, said = run_gc(front, "--min-age=6s", "--delete")
        assert status == 0, said
        removed += int(said.split("removed: ")[-1].split(" blobs")[0])
    pushers.join()
    print(f"{pushers.pushes} pushes, {removed} blobs removed meanwhile")
    assert not pushers.failures
    assert removed > 50
    for repo in ("t/app0", "t/app1", "t/app2"):
        registry = Registry(front, repo=repo)
        for tag in json.loads(registry.call("GET", "tags/list")[2])["tags"]:
            registry.check_image(tag)


def start_cluster(tmp_path, origins):
    """The processes; the last one has the ports of all roles."""
    if origins == 1:
        return [herd(tmp_path)]
    addresses = [f"127.0.0.{20 + index}" for index in range(origins)]
    ring = json.dumps([f"{address}:15002" for address in addresses])
    backend = tmp_path / "backend"
    config = tmp_path / "origin.yaml"
    config.write_text(f"""cluster: {{static: {ring}}}
backends:
  - namespace: ".*"
    backend: {{file: {{root: {backend}, name_path: sharded_docker_blob}}}}
""")
    processes = [Process("origin", tmp_path / address, f"--config={config}", f"--listen-address={address}",
                         f"--peer-ip={address}", "--blobserver-port=15002", "--peer-port=0") for address in addresses]
    front = Process("build-index,proxy", tmp_path / "front", "--listen-address=127.0.0.1", "--build-index-port=0",
                    "--proxy-port=0", *[f"--origin={address}:15002" for address in addresses])
    front.ports["origin blobserver"] = (addresses[0], 15002)
    return [*processes, front]
