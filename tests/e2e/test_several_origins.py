"""An agent takes a blob from all its origins at once, and from those that are left when one dies."""

import threading
import time

import pytest

from ring_of_three import ADDRESSES, KIB, Ring

SIZE = 16 * 1024 * KIB
# 4 MB/s of each origin: 4 s for the blob from one, 2 s from two.
EGRESS = 32_000_000
SLOW = f"scheduler: {{conn: {{bandwidth: {{enable: true, egress_bits_per_sec: {EGRESS}}}}}}}\n"


@pytest.fixture
def slow_ring(tmp_path):
    made = Ring(tmp_path, SLOW)
    yield made
    made.stop()


def sent(origin):
    _, _, body = origin.request("origin blobserver", "GET", "/metrics")
    lines = [line for line in body.decode().splitlines()
             if line.startswith("krakend_p2p_piece_bytes_total") and 'direction="egress"' in line]
    return sum(float(line.split()[-1]) for line in lines)


def owners(ring, digest):
    addresses = [owner.split(":")[0] for owner in ring.owners(digest)]
    return [ring.origins[ADDRESSES.index(address)] for address in addresses]


def test_both_owners_of_a_blob_send_their_share(slow_ring):
    digest, data = slow_ring.push(SIZE)
    slow_ring.await_copies([digest])
    assert slow_ring.pull(digest) == data
    shares = [sent(origin) / SIZE for origin in owners(slow_ring, digest)]
    assert min(shares) > 0.25, shares
    assert sum(shares) < 1.2, shares


def test_an_owner_that_dies_half_way_is_not_missed(slow_ring):
    digest, data = slow_ring.push(SIZE)
    slow_ring.await_copies([digest])
    first, second = owners(slow_ring, digest)
    bodies = []
    pull = threading.Thread(target=lambda: bodies.append(slow_ring.pull(digest)))
    pull.start()
    limit = time.monotonic() + 30
    while sent(first) < SIZE / 8 or sent(second) < SIZE / 8:
        assert time.monotonic() < limit
        time.sleep(0.01)
    first.kill()
    pull.join(60)
    assert bodies == [data]
    first.start()


def test_the_copy_of_a_pushed_blob_keeps_to_the_limit_of_what_leaves_its_origin(slow_ring):
    began = time.monotonic()
    digest, _ = slow_ring.push(SIZE)  # acknowledged when both owners have it
    took = time.monotonic() - began
    assert sorted(slow_ring.holders(digest)) == sorted(slow_ring.owners(digest))
    assert took > 0.8 * SIZE * 8 / EGRESS, took
