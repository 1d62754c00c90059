"""A herd is killed over and over in the middle of pushes: nothing that was acknowledged is lost.

KRAKEND_KILLS says how often (30)."""

import hashlib
import http.client
import os
import random
import threading
import time

import cluster

KILLS = int(os.environ.get("KRAKEND_KILLS", "30"))
KIB = 1024


class Pusher(threading.Thread):
    """Pushes blobs until the connection breaks; `acknowledged` are those that were answered 201."""

    def __init__(self, address, seed):
        super().__init__()
        self.address, self.choice, self.acknowledged = address, random.Random(seed), {}

    def run(self):
        try:
            while True:
                data = self.choice.randbytes(self.choice.choice([100, 10 * KIB, 300 * KIB, 5000 * KIB]))
                digest = "sha256:" + hashlib.sha256(data).hexdigest()
                self.push(data, digest)
                self.acknowledged[digest] = len(data)
        except (OSError, http.client.HTTPException):
            pass

    def push(self, data, digest):
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        connection.request("POST", f"/v2/t/app/blobs/uploads/?digest={digest}", data)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 201:
            raise OSError(body)


def in_backend(process, digest):
    path = os.path.join(process.data_dir, "backend", "docker", "registry", "v2", "blobs", "sha256", digest[7:9],
                        digest[7:], "data")
    return os.path.exists(path)


def test_acknowledged_pushes_survive_kills(tmp_path):
    seed = random.randrange(10**6)
    print("seed", seed)
    choice = random.Random(seed)
    herd = cluster.herd(tmp_path)
    herd.keep_ports(proxy="proxy registry", peer="origin peer", blobserver="origin blobserver", tracker="tracker api",
                    build_index="build-index api")
    acknowledged = {}
    for _ in range(KILLS):
        pushers = [Pusher(herd.ports["proxy registry"], choice.random()) for _ in range(3)]
        for pusher in pushers:
            pusher.start()
        time.sleep(choice.uniform(0.01, 0.3))
        herd.kill()
        for pusher in pushers:
            pusher.join()
            acknowledged.update(pusher.acknowledged)
        herd.start()
    agent = cluster.agent(tmp_path, herd, 1)
    for digest, size in acknowledged.items():
        status, _, body = agent.request("agent registry", "GET", f"/v2/t/app/blobs/{digest}")
        assert (status, len(body)) == (200, size), digest
        assert "sha256:" + hashlib.sha256(body).hexdigest() == digest
    limit = time.monotonic() + 60
    while not all(in_backend(herd, digest) for digest in acknowledged):
        assert time.monotonic() < limit, "not everything is written back"
        time.sleep(0.1)
    print(f"{KILLS} kills, {len(acknowledged)} blobs acknowledged, none lost")
    assert len(acknowledged) > KILLS
    agent.stop()
    herd.stop()
