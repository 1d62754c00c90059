"""Peers that are broken or mean it: a download ends well as long as one honest source exists, whatever they do.

Each is bounded in time and memory and told of once.
"""

import contextlib
import os
import re
import resource
import socket
import threading
import time

import pytest

import cluster
import go_peer
import liar
import p2p_wire as wire
from images import MIB
from test_go_peers import agent_behind, random_blob
from test_limits_of_the_host import await_until
from test_main_job import agents, get_blob, herd  # noqa: F401 (fixtures)

MEMORY_LIMIT = 64  # MiB, at the peak
SLOWEST = 20  # seconds; what a liar may cost


def peak_memory(process):
    with open(f"/proc/{process.process.pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))


def blob_at(herd_process, size=24 * MIB + 100):
    data = os.urandom(size)
    digest = cluster.push_blob(herd_process, data)
    return wire.Blob.of_tracker(herd_process.ports["tracker api"], digest, data)


def remarks(agent, host):
    return [line for line in agent.log if " WARN " in line and f"peer={host}:" in line]


@pytest.mark.parametrize("lie, reason", [
    ("bytes", "piece .* has sum"),
    ("length", "payload of (1048575|99) bytes"),  # the last piece has 100
    ("message", "peer message of 32769 bytes exceeds the limit of 32768"),
    ("silence", None),
    ("refusal", None),
    ("stall", None),
    ("trickle", None),
    ("twice", None),
    ("unasked", None),
    ("announces", None),
    ("junk", None),
    ("boast", None),
    ("idle", None),
    ("busy", "never asked"),
    ("reports", None),
    *((bits, "never asked") for bits in liar.BITFIELDS),
])
def test_a_lying_source(herd, agents, lie, reason):  # noqa: F811
    blob = blob_at(herd)
    agent = agents(1)
    peer = liar.Liar("127.0.0.9", blob, lie)
    peer.announce(herd.ports["tracker api"])
    start = time.monotonic()
    status, _, body = get_blob(agent, blob.digest)
    took = time.monotonic() - start
    peer.stop()
    assert (status, body == blob.data) == (200, True)
    assert took < SLOWEST
    agent.wait_for("download complete")
    # Nothing is fetched over and over because somebody else is slow with it.
    assert sum(t["bytes_sent"] for t in herd.torrents("origin blobserver")) < 3 * blob.length
    assert (peer.requests > 0) == (reason != "never asked") and peer.handshakes > 0
    told = remarks(agent, "127.0.0.9")
    assert len(told) <= 1
    assert reason in (None, "never asked") or re.search(reason, told[0]), agent.log
    assert peak_memory(agent) < MEMORY_LIMIT


def test_a_liar_is_banned_for_the_torrent(tmp_path):
    """Under any name: after three from one host the host is not listened to."""
    blob = random_blob(40)
    origin = go_peer.GoOrigin("127.0.0.3", blob)
    config = tmp_path / "agent.yaml"
    config.write_text("scheduler: {connstate: {blacklist_duration: 100ms}, "
                      "conn: {bandwidth: {enable: true, ingress_bits_per_sec: %d}}}\n" % (8 * MIB * 8))
    with agent_behind(tmp_path, origin, f"--config={config}") as (tracker, agent):
        liars = [liar.Liar("127.0.0.9", blob, "bytes") for _ in range(6)]
        for one in liars:
            one.announce(tracker)
        status, _, body = get_blob(agent, blob.digest)
        assert (status, body == blob.data) == (200, True)
        for one in liars:
            assert one.handshakes <= 1, [each.handshakes for each in liars]
            one.stop()
        assert len(remarks(agent, "127.0.0.9")) <= 1


def test_openers_that_say_nothing_shut_nobody_out(herd, agents):  # noqa: F811
    """Of 1024 handshakes that are awaited the one that is silent longest gives way to a newcomer."""
    blob = blob_at(herd, 9 * MIB)
    agent = agents(1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with contextlib.ExitStack() as stack:
        for _ in range(1100):
            link = stack.enter_context(socket.create_connection(herd.ports["origin peer"], timeout=5))
            link.sendall(b"\0\0")
        start = time.monotonic()
        assert get_blob(agent, blob.digest)[2] == blob.data
        assert time.monotonic() - start < SLOWEST


def test_openers_with_a_wrong_handshake_are_refused(herd):  # noqa: F811
    blob = blob_at(herd, 9 * MIB)
    for bad in (wire.handshake(blob, wire.new_peer_id(), (), info_hash="0" * 40),
                wire.handshake(blob, "0" * 39, ()),
                *(wire.handshake(blob, wire.new_peer_id(), (), bits=bits(blob)) for bits in liar.BITFIELDS.values()),
                wire.message(wire.ANNOUNCE_PIECE), wire.frame(b"\x1a\xff"), wire.frame(b"")):
        with socket.create_connection(herd.ports["origin peer"], timeout=10) as link:
            link.sendall(bad)
            with contextlib.suppress(ConnectionError):
                assert link.recv(1) == b""
    herd.wait_for("WARN .*peer=127.0.0.1:")
    later = cluster.push_blob(herd, os.urandom(100))
    herd.wait_for(later.removeprefix("sha256:"))  # whatever was said before has been read by now
    assert len(remarks(herd, "127.0.0.1")) == 1


@pytest.mark.parametrize("reads", [False, True])
@pytest.mark.parametrize("insists", [False, True])
def test_takers_do_not_starve_others(herd, agents, insists, reads):  # noqa: F811
    """They ask for everything, maybe over and over, give nothing, and maybe do not even read what comes."""
    blob = blob_at(herd, 64 * MIB)
    agent = agents(1)
    stop = threading.Event()
    links = [wire.connect(herd.ports["origin peer"], blob, wire.new_peer_id()) for _ in range(4)]

    def take(link):
        requests = b"".join(wire.piece_message(wire.PIECE_REQUEST, i, blob.size(i)) for i in range(blob.count))
        link.settimeout(1)
        with contextlib.suppress(OSError):
            link.sendall(requests)
            while not stop.is_set() and (insists or reads):
                if insists:
                    link.sendall(requests)
                if reads:
                    link.recv(1 << 20)
    takers = [threading.Thread(target=take, args=(link,), daemon=True) for link in links]
    for taker in takers:
        taker.start()
    try:
        start = time.monotonic()
        assert get_blob(agent, blob.digest)[2] == blob.data
        assert time.monotonic() - start < SLOWEST
        assert peak_memory(herd) < 2 * MEMORY_LIMIT  # four roles, and the upload
    finally:
        stop.set()
        for taker, link in zip(takers, links):
            taker.join()
            link.close()


def test_idle_links_give_way(herd, agents):  # noqa: F811
    """An origin takes 100 links a torrent; one that has been of no use for 3 s makes room for a newcomer."""
    blob = blob_at(herd, 9 * MIB)
    with contextlib.ExitStack() as stack:
        held = 0
        for _ in range(101):
            with contextlib.suppress(OSError):
                stack.enter_context(wire.connect(herd.ports["origin peer"], blob, wire.new_peer_id()))
                held += 1
        assert held == 100
        start = time.monotonic()
        assert get_blob(agents(1), blob.digest)[2] == blob.data
        assert time.monotonic() - start < SLOWEST


def test_a_peer_that_comes_back_with_its_old_id(herd):  # noqa: F811
    """Its machine fell: the old link is still there for us. It is replaced as soon as it has been still for 3 s."""
    blob = blob_at(herd, 9 * MIB)
    peer_id = wire.new_peer_id()
    old = wire.connect(herd.ports["origin peer"], blob, peer_id)
    with pytest.raises(OSError):
        wire.connect(herd.ports["origin peer"], blob, peer_id)
    again = []

    def connects():
        with contextlib.suppress(OSError):
            again.append(wire.connect(herd.ports["origin peer"], blob, peer_id))
        return again
    await_until(connects, 10)
    with contextlib.suppress(ConnectionError):
        assert old.recv(1) == b""  # the new one took its place
    again[0].close()
    old.close()


def test_an_agent_that_is_handed_itself(herd, agents):  # noqa: F811
    """Under its own id, as trackers of the reference do, and under one that nobody has."""
    blob = blob_at(herd)
    agent = agents(1)
    tracker, own = herd.ports["tracker api"], agent.ports["agent peer"]
    for peer_id in (wire.new_peer_id(), wire.new_peer_id()):
        wire.announce(tracker, blob, peer_id, own, True)
    start = time.monotonic()
    assert get_blob(agent, blob.digest)[2] == blob.data
    assert time.monotonic() - start < SLOWEST
    agent.wait_for("download complete")
    assert sum(len(t["peers"]) for t in agent.torrents()) == 0
