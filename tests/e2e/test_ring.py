"""Any one of three origins may die, lose its disk and come back."""

import hashlib
import os
import re
import shutil
import threading
import time

from ring_of_three import ADDRESSES, KIB, ring  # noqa: F401


def test_each_origin_in_turn_loses_its_disk(ring):  # noqa: F811
    blobs = dict(ring.push() for _ in range(20))
    ring.await_copies(blobs)
    for victim, address in zip(ring.origins, ADDRESSES):
        victim.kill()
        shutil.rmtree(ring.folder / address)
        # Pushes and pulls go on.
        digest, data = ring.push()
        blobs[digest] = data
        for digest in list(blobs)[:3]:
            assert ring.pull(digest) == blobs[digest]
        victim.start()
        ring.await_copies(blobs)
    for digest, data in blobs.items():
        assert hashlib.sha256(data).hexdigest() == digest[7:]
    digest = next(iter(blobs))
    assert ring.pull(digest) == blobs[digest]


def test_a_blob_that_is_not_written_back_comes_from_its_other_owner(ring):  # noqa: F811
    """The backend is away for the whole push; then one owner loses the blob."""
    backend = ring.folder / "backend"
    away = ring.folder / "away"
    os.rename(backend, away)
    backend.write_text("in the way")
    digest, data = ring.push(300 * KIB)
    owners = ring.owners(digest)
    assert sorted(ring.holders(digest)) == sorted(owners)
    first = ADDRESSES.index(owners[0].split(":")[0])
    ring.origins[first].wait_for(f"{digest[7:]} failed 1 times, again in")
    ring.origins[first].kill()
    shutil.rmtree(ring.folder / ADDRESSES[first] / "cache")
    assert ring.pull(digest) == data
    backend.unlink()
    os.rename(away, backend)
    ring.origins[first].start()
    ring.await_copies([digest])
    path = backend / "docker/registry/v2/blobs/sha256" / digest[7:9] / digest[7:] / "data"
    second = ADDRESSES.index(owners[1].split(":")[0])
    limit = time.monotonic() + 90
    while not path.exists():
        assert time.monotonic() < limit, ring.origins[second].log[-5:]
        time.sleep(0.2)
    assert path.read_bytes() == data


def test_a_blob_that_only_the_backend_has_is_fetched_from_it_once(ring):  # noqa: F811
    """However many ask, and whichever origin they ask."""
    digest, data = ring.push(3000 * KIB)
    ring.await_copies([digest])
    path = ring.folder / "backend/docker/registry/v2/blobs/sha256" / digest[7:9] / digest[7:] / "data"
    limit = time.monotonic() + 60
    while not path.exists() or ring.holders(digest):
        assert time.monotonic() < limit
        for origin in ring.origins:
            origin.request("origin blobserver", "DELETE", f"/internal/blobs/{digest}")
        time.sleep(0.1)

    def get(origin, bodies):
        while True:
            status, _, body = origin.request("origin blobserver", "GET", f"/namespace/TODO/blobs/{digest}")
            if status != 202:
                bodies.append((status, body))
                return
            time.sleep(0.05)

    bodies = []
    askers = [threading.Thread(target=get, args=(origin, bodies)) for origin in ring.origins * 3]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert bodies == [(200, data)] * 9
    fetched = [line for origin in ring.origins for line in origin.log if re.search(f"fetched {digest} from the backend", line)]
    assert len(fetched) == 1, fetched
