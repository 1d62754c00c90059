"""What may befall an origin and its backend: each time nothing acknowledged is lost, nothing wrong is served, and it
recovers by itself.

KRAKEND_RING_KILLS says how often an origin of a ring is killed (20)."""

import hashlib
import os
import random
import subprocess
import threading
import time

import pytest

import cluster
import disks
from ring_of_three import ADDRESSES, KIB, Ring, ring  # noqa: F401
from test_kills import Pusher

RING_KILLS = int(os.environ.get("KRAKEND_RING_KILLS", "20"))
MIB = 1024 * KIB


def backend_file(backend, digest):
    return backend / "docker/registry/v2/blobs/sha256" / digest[7:9] / digest[7:] / "data"


def await_true(what, condition, limit=90):
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_origins_of_a_ring_are_killed_in_the_middle_of_pushes(ring):  # noqa: F811
    seed = random.randrange(10**6)
    print("seed", seed)
    choice = random.Random(seed)
    acknowledged, refused = {}, 0

    class Steady(Pusher):
        """Goes on when a push is refused: only the proxy's own death would end it."""

        def run(self):
            nonlocal refused
            while not done.is_set():
                data = self.choice.randbytes(self.choice.choice([100, 10 * KIB, 300 * KIB, 2000 * KIB]))
                digest = "sha256:" + hashlib.sha256(data).hexdigest()
                try:
                    self.push(data, digest)
                    acknowledged[digest] = len(data)
                except OSError:
                    refused += 1

    done = threading.Event()
    pushers = [Steady(ring.front.ports["proxy registry"], choice.random()) for _ in range(3)]
    for pusher in pushers:
        pusher.start()
    for _ in range(RING_KILLS):
        victim = choice.choice(ring.origins)
        time.sleep(choice.uniform(0.05, 0.4))
        victim.kill()
        time.sleep(choice.uniform(0, 0.2))
        victim.start()
    done.set()
    for pusher in pushers:
        pusher.join()
    agent = cluster.agent(ring.folder, ring.front, 90)
    for digest, size in acknowledged.items():
        status, _, body = agent.request("agent registry", "GET", f"/v2/t/app/blobs/{digest}")
        assert (status, len(body)) == (200, size), digest
        assert "sha256:" + hashlib.sha256(body).hexdigest() == digest
    agent.stop()
    backend = ring.folder / "backend"
    await_true("not everything is written back",
               lambda: all(backend_file(backend, digest).exists() for digest in acknowledged))
    print(f"{RING_KILLS} kills, {len(acknowledged)} blobs acknowledged, {refused} pushes refused, none lost")
    assert len(acknowledged) > RING_KILLS


def test_pushes_go_on_while_the_disk_of_one_origin_is_full(tmp_path):
    with disks.tmpfs(tmp_path / ADDRESSES[0], "size=8m"):
        made = Ring(tmp_path)
        try:
            backend = tmp_path / "backend"
            os.rename(backend, tmp_path / "away")  # what is not written back cannot go to make room
            backend.write_text("in the way")
            blobs = dict(made.push(2 * MIB) for _ in range(12))
            assert made.origins[0].wait_for("(no|not enough) space|full|free")
            for digest, data in blobs.items():
                assert made.pull(digest) == data
            backend.unlink()
            os.rename(tmp_path / "away", backend)
            await_true("not everything is written back",
                       lambda: all(backend_file(backend, digest).exists() for digest in blobs))
        finally:
            made.stop()


def test_pushes_go_on_while_the_disk_of_one_origin_is_read_only(tmp_path):
    place = tmp_path / ADDRESSES[0]
    with disks.tmpfs(place, "size=64m"):
        made = Ring(tmp_path)
        try:
            before = dict(made.push() for _ in range(3))
            made.origins[0].kill()
            subprocess.run(["mount", "-o", "remount,ro", place], check=True)
            refused = subprocess.run(made.origins[0].command, capture_output=True, text=True, timeout=30)
            assert refused.returncode == 1
            assert "cannot be written" in refused.stderr and "Read-only file system" in refused.stderr, refused.stderr
            blobs = dict(made.push() for _ in range(6))
            for digest, data in (blobs | before).items():
                assert made.pull(digest) == data
            subprocess.run(["mount", "-o", "remount,rw", place], check=True)
            made.origins[0].start()
            made.await_copies(blobs | before)
        finally:
            made.stop()


@pytest.mark.parametrize("left", [0, 5000])
def test_a_database_that_was_cut_short(tmp_path, left):
    """What waited for its write-back is known from the flags beside the blobs."""
    herd = cluster.herd(tmp_path)
    backend, away = tmp_path / "herd/backend", tmp_path / "away"
    os.rename(backend, away)
    backend.write_text("in the way")
    digests = [cluster.push_blob(herd, os.urandom(10 * KIB)) for _ in range(5)]
    herd.kill()
    backend.unlink()
    os.rename(away, backend)
    database = tmp_path / "herd/origin/origin.db"
    if not database.exists():
        database = next((tmp_path / "herd").rglob("origin.db"))
    os.truncate(database, left)
    for name in ("-wal", "-shm"):
        side = database.with_name(database.name + name)
        if side.exists():
            os.truncate(side, 0)
    herd.start()
    await_true("not everything is written back",
               lambda: all(backend_file(backend, digest).exists() for digest in digests))
    herd.stop()


def spoil(path, how):
    data = bytearray(path.read_bytes())
    path.unlink()  # it may be linked to the origin's own copy
    if how == "other bytes":
        data[len(data) // 2] ^= 1
    elif how == "cut short":
        del data[len(data) // 2:]
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["other bytes", "cut short", "away"])
def test_a_backend_that_gives_what_it_should_not(tmp_path, how):
    herd = cluster.herd(tmp_path)
    backend, away = tmp_path / "herd/backend", tmp_path / "away"
    data = os.urandom(300 * KIB)
    digest = cluster.push_blob(herd, data)
    path = backend_file(backend, digest)
    await_true("not written back", lambda: path.exists() and herd.request(
        "origin blobserver", "DELETE", f"/internal/blobs/{digest}")[0] == 202)
    if how == "away":
        os.rename(backend, away)
        backend.write_text("in the way")
    else:
        spoil(path, how)

    def get():
        target = f"/namespace/TODO/blobs/{digest}"
        status, _, body = herd.request("origin blobserver", "GET", target)
        return status, body

    deadline = time.monotonic() + 20
    while get()[0] == 202:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # A directory that is not there has nothing in it.
    assert get()[0] == (404 if how == "away" else 500)
    agent = cluster.agent(tmp_path, herd, 91)
    status, _, body = agent.request("agent registry", "GET", f"/v2/t/app/blobs/{digest}", timeout=90)
    agent.stop()
    assert status >= 400 and data[:100] not in body
    if how == "away":
        backend.unlink()
        os.rename(away, backend)
    else:
        path.write_bytes(data)
    await_true("the blob does not come back", lambda: get() == (200, data), 30)
    herd.stop()
