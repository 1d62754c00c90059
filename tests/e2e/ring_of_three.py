"""Three origins, two of which keep each blob, with a proxy, a build-index and a tracker in front."""

import json
import os
import time

import pytest

import cluster

KIB = 1024
ADDRESSES = [f"127.0.0.{30 + index}" for index in range(3)]
PORT = 15002


class Ring:
    def __init__(self, folder, more=""):
        self.folder = folder
        ring = json.dumps([f"{address}:{PORT}" for address in ADDRESSES])
        config = folder / "origin.yaml"
        config.write_text(f"""cluster: {{static: {ring}}}
hashring: {{max_replica: 2}}
blobserver: {{duplicate_write_back_stagger: 1s}}
backends:
  - namespace: ".*"
    backend: {{file: {{root: {folder / 'backend'}, name_path: sharded_docker_blob}}}}
{more}""")
        self.origins = [cluster.Process(
            "origin", folder / address, f"--config={config}", f"--listen-address={address}", f"--peer-ip={address}",
            f"--blobserver-port={PORT}", "--peer-port=0") for address in ADDRESSES]
        self.front = cluster.Process(
            "build-index,proxy,tracker", folder / "front", "--listen-address=127.0.0.1", "--build-index-port=0",
            "--tracker-port=0", "--proxy-port=0", *[f"--origin={address}:{PORT}" for address in ADDRESSES])
        self.agents = 0

    def push(self, size=20 * KIB):
        """With the proxy's own copy gone, so that only origins and backend have it."""
        data = os.urandom(size)
        return cluster.push_blob(self.front, data), data

    def pull(self, digest):
        """By an agent that has nothing yet."""
        self.agents += 1
        agent = cluster.agent(self.folder, self.front, 50 + self.agents)
        status, _, body = agent.request("agent registry", "GET", f"/v2/t/app/blobs/{digest}")
        agent.stop()
        assert status == 200, body
        return body

    def owners(self, digest):
        for address in ADDRESSES:
            try:
                connection = cluster.http.client.HTTPConnection(address, PORT, timeout=5)
                connection.request("GET", f"/blobs/{digest}/locations")
                return connection.getresponse().getheader("Origin-Locations").split(",")
            except OSError:
                continue
        raise AssertionError("no origin answers")

    def holders(self, digest):
        return [f"{address}:{PORT}" for address in ADDRESSES
                if os.path.exists(self.folder / address / "cache" / digest[7:9] / digest[9:11] / digest[7:] / "data")]

    def await_copies(self, digests, limit=120):
        """Until each blob is at its two owners, and nowhere else; an origin that was away has to be seen again first."""
        deadline = time.monotonic() + limit
        while True:
            wrong = {digest: (self.holders(digest), self.owners(digest)) for digest in digests
                     if sorted(self.holders(digest)) != sorted(self.owners(digest)) or len(self.owners(digest)) != 2}
            if not wrong:
                return
            assert time.monotonic() < deadline, f"{len(wrong)} of {len(digests)}: {list(wrong.items())[:2]}" + "\n".join(
                line for process in self.origins for line in process.log if next(iter(wrong))[7:] in line or "ring:" in line)
            time.sleep(0.2)

    def stop(self):
        running = [self.front, *self.origins]
        try:
            for process in running:
                process.stop()
        finally:
            for process in running:
                if process.process.poll() is None:
                    process.kill()


@pytest.fixture
def ring(tmp_path):
    made = Ring(tmp_path)
    yield made
    made.stop()
