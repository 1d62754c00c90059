"""Never worse than a direct pull: without trackers, with slow neighbours, and what clients hear when there is no hope."""

import json
import os
import threading
import time

import pytest

import cluster
import go_peer
import p2p_wire as wire
from images import MIB
from test_go_peers import agent_behind, random_blob
from test_limits_of_the_host import await_until
from test_main_job import get_blob, herd  # noqa: F401 (fixture)

NOWHERE = "127.0.0.1:1"  # nobody listens there


def agent_of(tmp_path, *flags):
    return cluster.Process("agent", tmp_path / "agent", "--listen-address=127.0.0.2", "--peer-ip=127.0.0.2",
                           "--peer-port=0", "--agent-registry-port=0", "--agent-server-port=0", *flags)


def error_of(answer):
    status, headers, body = answer
    return status, json.loads(body)["errors"][0], headers


def test_without_a_tracker_the_origins_are_asked(tmp_path, herd):  # noqa: F811
    data = os.urandom(9 * MIB)
    digest = cluster.push_blob(herd, data)
    agent = agent_of(tmp_path, f"--tracker={NOWHERE}", "--origin=%s:%d" % herd.ports["origin blobserver"])
    assert get_blob(agent, digest)[2] == data
    assert len(agent.wait_for("WARN .*no tracker answers, the origins are asked instead")) == 1
    status, error, _ = error_of(get_blob(agent, "sha256:" + "ab" * 32))
    assert (status, error["code"]) == (404, "BLOB_UNKNOWN")
    agent.stop()


def test_neither_trackers_nor_origins(tmp_path):
    agent = agent_of(tmp_path, f"--tracker={NOWHERE}", f"--origin={NOWHERE}")
    status, error, headers = error_of(get_blob(agent, "sha256:" + "ab" * 32))
    assert status == 503 and NOWHERE in error["message"] and headers["Retry-After"] == "1"
    agent.stop()


def test_the_client_hears_early_that_no_peer_can_be_reached(tmp_path):
    """The metainfo is there, the peers are not: 503 after no_peer_timeout, and the next attempt finds them."""
    blob = random_blob()
    origin = go_peer.GoOrigin("127.0.0.3", blob)
    address = origin.address
    config = tmp_path / "agent.yaml"
    config.write_text("scheduler: {no_peer_timeout: 2s}\n")
    with agent_behind(tmp_path, origin, f"--config={config}") as (_, agent):
        origin.vanish()
        start = time.monotonic()
        status, error, headers = error_of(get_blob(agent, blob.digest))
        assert (status, headers["Retry-After"]) == (503, "1") and "1 are named" in error["message"], error
        assert 1.5 < time.monotonic() - start < 15
        origin.reopen(address)
        assert get_blob(agent, blob.digest)[2] == blob.data


def test_a_download_outlives_an_outage_while_its_client_waits(tmp_path):
    blob = random_blob()
    origin = go_peer.GoOrigin("127.0.0.3", blob, cut_after=4)
    address = origin.address
    with agent_behind(tmp_path, origin) as (_, agent):
        def outage():
            origin.await_that(lambda: origin.cuts == 1)
            origin.vanish()
            await_until(lambda: "dials failed" in json.loads(
                agent.request("agent server", "GET", f"/x/torrents/{blob.digest}")[2])["waits_for"])
            origin.reopen(address)
        helper = threading.Thread(target=origin.watched(outage))
        helper.start()
        assert get_blob(agent, blob.digest)[2] == blob.data
        helper.join()


@pytest.mark.parametrize("neighbours", [20])
def test_slow_neighbours_do_not_keep_it_from_the_origin(tmp_path, neighbours):
    """More agents than it dials, handed out before the origin, each at 40 KB/s: it goes to the origin itself."""
    blob = random_blob(24)
    origin = go_peer.GoOrigin("127.0.0.3", blob)
    with agent_behind(tmp_path, origin) as (tracker, agent):
        slow = [go_peer.GoPeer(f"127.0.1.{index + 1}", blob, rate=40_000) for index in range(neighbours)]
        for peer in slow:
            peer.announce_complete(tracker)
        start = time.monotonic()
        assert get_blob(agent, blob.digest)[2] == blob.data
        took = time.monotonic() - start
        print(f"{took:.1f} s")
        fields = cluster.fields_of(agent.wait_for("download complete")[0])
        assert int(fields["from_origins"]) > 0
        assert took < 15  # the slow ones alone: 37 s
        for peer in slow:
            peer.content()
