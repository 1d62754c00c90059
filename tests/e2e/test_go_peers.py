"""krakend among peers of the reference, in both directions (contract p2p §5 to §9, §17)."""

import contextlib
import os
import threading

import pytest

import cluster
import go_peer
import p2p_wire as wire
from images import MIB
from test_main_job import agents, get_blob, herd  # noqa: F401 (fixtures)

PIECE = MIB


def random_blob(pieces=12):
    return wire.Blob.cut(os.urandom(pieces * PIECE - 1000), PIECE)


@contextlib.contextmanager
def agent_behind(tmp_path, go_origin, *flags):
    """A krakend agent, and a tracker that knows only the fake origin."""
    tracker = cluster.Process("tracker", tmp_path / "tracker", "--port=0", "--listen-address=127.0.0.1",
                              f"--origin={go_origin.http}")
    agent = cluster.Process("agent", tmp_path / "agent", "--listen-address=127.0.0.2", "--peer-ip=127.0.0.2",
                            "--peer-port=0", "--agent-registry-port=0", "--agent-server-port=0",
                            "--tracker=%s:%d" % tracker.ports["tracker api"], *flags)
    yield tracker.ports["tracker api"], agent
    agent.stop()
    tracker.stop()
    go_origin.content()


def pull(agent, blob):
    status, _, body = get_blob(agent, blob.digest)
    assert (status, body == blob.data) == (200, True)


@pytest.mark.parametrize("frame, expected", [
    (wire.piece_message(wire.PIECE_REQUEST, 0, 5), "00000006100122022005"),
    (wire.piece_message(wire.PIECE_REQUEST, 2, 2), "000000081001220410022002"),
    (wire.piece_message(wire.PIECE_PAYLOAD, 2, 2), "0000000810022a0410022002"),
    (wire.piece_message(wire.ANNOUNCE_PIECE, 0), "0000000410033200"),
    (wire.piece_message(wire.ANNOUNCE_PIECE, 2), "00000006100332021002"),
    (wire.error_message(2, "piece not complete"), "0000001a10054216" "1212" + b"piece not complete".hex() + "1802"),
    (wire.message(wire.COMPLETE), "000000021006"),
])
def test_the_fake_speaks_as_recorded(frame, expected):
    assert frame.hex() == expected


def test_the_fake_takes_offence(tmp_path):
    """What crashes a reference peer fails the test that sends it."""
    blob = random_blob(3)
    for bad in (wire.frame(b"\x10\x01"), wire.message(wire.ANNOUNCE_PIECE, wire.number(2, -1)),
                wire.piece_message(wire.PIECE_REQUEST, 0, PIECE - 1)):
        fake = go_peer.GoPeer("127.0.0.3", blob)
        link = wire.connect(fake.address, blob, wire.new_peer_id())
        link.sendall(bad)
        fake.await_that(lambda: fake.offences)
        with pytest.raises(AssertionError):
            fake.content()
        link.close()


def test_agent_pulls_from_a_go_origin(tmp_path):
    blob = random_blob()
    origin = go_peer.GoOrigin("127.0.0.3", blob)
    with agent_behind(tmp_path, origin) as (_, agent):
        pull(agent, blob)
        fields = cluster.fields_of(agent.wait_for("download complete")[0])
        assert int(fields["from_origins"]) == blob.length
        assert sorted(origin.asked_of_me) == list(range(blob.count))
        assert origin.handshakes == 1
        origin.await_that(lambda: not origin.peers)  # who is complete closes


def test_agent_pulls_from_a_go_agent(tmp_path):
    blob = random_blob()
    origin = go_peer.GoOrigin("127.0.0.3", blob, max_open_conn=0)
    with agent_behind(tmp_path, origin) as (tracker, agent):
        seeder = go_peer.GoPeer("127.0.0.4", blob)
        seeder.announce_complete(tracker)
        pull(agent, blob)
        fields = cluster.fields_of(agent.wait_for("download complete")[0])
        assert int(fields["from_peers"]) == blob.length
        assert sorted(seeder.asked_of_me) == list(range(blob.count))
        seeder.content()


def test_go_agent_pulls_from_a_krakend_origin(herd):  # noqa: F811
    data = os.urandom(21 * MIB + 17)
    digest = cluster.push_blob(herd, data)
    tracker = herd.ports["tracker api"]
    leecher = go_peer.GoPeer("127.0.0.4", wire.Blob.of_tracker(tracker, digest), complete=False)
    assert leecher.pull(tracker) == data
    leecher.await_that(lambda: not leecher.peers)
    leecher.content()


def test_go_agents_pull_from_a_krakend_agent(herd, agents):  # noqa: F811
    """As opener with three requests at a time, and as acceptor of a link that the agent opened."""
    data = os.urandom(21 * MIB + 17)
    digest = cluster.push_blob(herd, data)
    tracker = herd.ports["tracker api"]
    agent = agents(1)
    assert get_blob(agent, digest)[2] == data
    agent.wait_for("download complete")
    leecher = go_peer.GoPeer("127.0.0.4", wire.Blob.of_tracker(tracker, digest), complete=False)
    found, _ = wire.announce(tracker, leecher.blob, leecher.peer_id, leecher.address, False)
    seeder = next(p for p in found if p["port"] == agent.ports["agent peer"][1] and not p["origin"])
    assert leecher.dial((seeder["ip"], seeder["port"]), bytes(seeder["peer_id"]).hex())
    assert leecher.await_complete() == data
    leecher.content()


def test_pieces_go_both_ways(tmp_path):
    """The origin has room for the agent alone; the Go leecher has a half of its own and gets the other one."""
    blob = random_blob(16)
    origin = go_peer.GoOrigin("127.0.0.3", blob, max_open_conn=1)
    with agent_behind(tmp_path, origin) as (tracker, agent):
        leecher = go_peer.GoPeer("127.0.0.4", blob, complete=False)
        leecher.pieces = {i: blob.piece(i) for i in range(0, blob.count, 2)}
        wire.announce(tracker, blob, leecher.peer_id, leecher.address, False)
        pull(agent, blob)
        assert leecher.await_complete() == blob.data
        fields = cluster.fields_of(agent.wait_for("download complete")[0])
        assert int(fields["from_peers"]) > 0 and int(fields["from_origins"]) > 0
        leecher.content()


def test_a_full_acceptor_is_tried_again_soon(tmp_path):
    """It answers nothing and closes: that is no fault, and the blacklist's 30 s are not waited."""
    blob = random_blob()
    origin = go_peer.GoOrigin("127.0.0.3", blob, max_open_conn=1)
    occupant = wire.connect(origin.address, blob, wire.new_peer_id())
    with agent_behind(tmp_path, origin) as (_, agent):
        leave = threading.Thread(target=lambda: (origin.await_that(lambda: origin.refused >= 2), occupant.close()))
        leave.start()
        pull(agent, blob)
        leave.join()
        assert not [line for line in agent.log if "dropped:" in line]


def test_a_connection_that_ends_in_mid_piece(tmp_path):
    blob = random_blob()
    origin = go_peer.GoOrigin("127.0.0.3", blob, cut_after=4)
    with agent_behind(tmp_path, origin) as (_, agent):
        pull(agent, blob)
        assert (origin.cuts, origin.handshakes) == (1, 2)
        # What was on the way at the cut is lost with it; nothing else is asked for again.
        assert origin.served <= blob.count + go_peer.ORIGIN_PIPELINE


def test_a_seeder_that_cuts_links_in_use(tmp_path):
    """The reference's seeders do so 5 min after they began, whatever goes on."""
    blob = random_blob(24)
    origin = go_peer.GoOrigin("127.0.0.3", blob, seeder_tti=0.4)
    config = tmp_path / "agent.yaml"
    config.write_text("scheduler: {conn: {bandwidth: {enable: true, ingress_bits_per_sec: %d}}}\n" % (12 * MIB * 8))
    with agent_behind(tmp_path, origin, f"--config={config}") as (_, agent):
        pull(agent, blob)
        assert origin.cuts >= 2 and origin.handshakes >= 3
