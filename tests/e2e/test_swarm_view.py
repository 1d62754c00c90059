"""What operators see of the swarm: /x/torrents/<digest>, /x/blacklist, network events, the torrent log."""

import json
import subprocess

import cluster
import go_peer
import liar
import p2p_wire as wire
from images import MIB
from test_go_peers import agent_behind, random_blob
from test_limits_of_the_host import await_until
from test_main_job import get_blob


def curl(agent, blob):
    host, port = agent.ports["agent registry"]
    return subprocess.Popen(["curl", "-s", "-o", "/dev/null", f"http://{host}:{port}/v2/t/app/blobs/{blob.digest}"])


def view(agent, blob):
    status, _, body = agent.request("agent server", "GET", f"/x/torrents/{blob.digest}")
    return json.loads(body) if status == 200 else None


def test_a_download_tells_what_it_waits_for(tmp_path):
    """One source has a half and gives nothing; the other half is with nobody."""
    blob = random_blob(8)
    origin = go_peer.GoOrigin("127.0.0.3", blob, max_open_conn=0)
    with agent_behind(tmp_path, origin) as (tracker, agent):
        assert agent.request("agent server", "GET", f"/x/torrents/{blob.digest}")[0] == 404
        assert agent.request("agent server", "GET", "/x/torrents/sha256:0")[0] == 400
        client = curl(agent, blob)
        await_until(lambda: (view(agent, blob) or {}).get("waits_for", "").startswith("no peer: 1 are named"))
        half = go_peer.GoPeer("127.0.0.4", blob, complete=False)
        half.pieces = {i: blob.piece(i) for i in range(0, blob.count, 2)}
        wire.announce(tracker, blob, half.peer_id, half.address, False)
        await_until(lambda: view(agent, blob)["pieces_have"] == 4)
        await_until(lambda: view(agent, blob)["waits_for"] == "none of 1 peers has any of 4 missing pieces")
        seen = view(agent, blob)
        assert seen["missing_pieces_by_copies"] == [4]
        assert (seen["readers"], seen["bytes_from_peers"]) == (1, sum(len(p) for p in half.pieces.values()))
        assert seen["peers"][0]["peer_id"] == half.peer_id
        # From here on it gets the rest, and the view says so.
        half.pieces = {i: blob.piece(i) for i in range(blob.count)}
        for peer in list(half.peers.values()):
            peer.out.put(wire.message(wire.COMPLETE))
        assert client.wait(30) == 0
        agent.wait_for("download complete")
        seen = view(agent, blob)
        assert seen["complete"] and seen["waits_for"] in ("", "all is there and right, it is being made durable")
        half.content()


def test_open_requests_and_rates_are_listed(tmp_path):
    blob = random_blob(16)
    origin = go_peer.GoOrigin("127.0.0.3", blob)
    config = tmp_path / "agent.yaml"
    config.write_text("scheduler: {conn: {bandwidth: {enable: true, ingress_bits_per_sec: %d}}}\n" % (4 * MIB * 8))
    with agent_behind(tmp_path, origin, f"--config={config}") as (_, agent):
        client = curl(agent, blob)

        def rate():
            peers = (view(agent, blob) or {"peers": []})["peers"]
            return bool(peers) and peers[0]["receive_bytes_per_second"]
        await_until(lambda: MIB < (rate() or 0) < 12 * MIB)
        peer = view(agent, blob)["peers"][0]
        assert 1 <= len(peer["requested_pieces"]) == peer["requests"] <= go_peer.ORIGIN_PIPELINE
        assert peer["origin"] and peer["opener"]
        client.kill()
        client.wait()


def test_blacklist(tmp_path):
    blob = random_blob()
    origin = go_peer.GoOrigin("127.0.0.3", blob)
    with agent_behind(tmp_path, origin) as (tracker, agent):
        status, headers, body = agent.request("agent server", "GET", "/x/blacklist")
        assert (status, headers["Content-Type"], body) == (200, "text/plain; charset=utf-8", b"null\n")
        peer = liar.Liar("127.0.0.9", blob, "bytes")
        peer.announce(tracker)
        origin.max_open_conn = 0  # nobody to finish it with
        client = curl(agent, blob)

        def banned():
            listed = json.loads(agent.request("agent server", "GET", "/x/blacklist")[2]) or []
            return [entry for entry in listed if bytes(entry["peer_id"]).hex() == peer.peer_id]
        await_until(banned)
        entry = banned()[0]
        assert bytes(entry["info_hash"]).hex() == blob.info_hash and entry["remaining"] > 10 ** 9
        origin.max_open_conn = 10
        assert client.wait(40) == 0
        agent.wait_for("download complete")
        assert agent.request("agent server", "GET", "/x/blacklist")[2] == b"null\n"
        peer.stop()


def test_network_events_and_torrent_log(tmp_path):
    blob = random_blob(4)
    origin = go_peer.GoOrigin("127.0.0.3", blob)
    events, log, config = tmp_path / "events", tmp_path / "torrent.log", tmp_path / "agent.yaml"
    config.write_text("network_event: {enabled: true, log_path: %s}\n"
                      "scheduler: {connstate: {max_open_conn: 11}, torrentlog: {path: %s, encoding: json, level: debug,\n"
                      "            timeEncoder: epoch, service_name: kraken-agent}}\n" % (events, log))
    with agent_behind(tmp_path, origin, f"--config={config}", "--zone=z1", "--cluster=c1") as (_, agent):
        assert get_blob(agent, blob.digest)[2] == blob.data
        agent.wait_for("download complete")
        await_until(lambda: "drop_active_conn" in events.read_text())
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    names = [line["event"] for line in lines]
    assert names[0] == "add_torrent" and lines[0]["bitfield"] == [False] * 4 and lines[0]["conn_capacity"] == 11
    for name, count in (("request_piece", 4), ("receive_piece", 4), ("add_active_conn", 1), ("drop_active_conn", 1),
                        ("torrent_complete", 1), ("torrent_cancelled", 0)):
        assert names.count(name) == count, names
    assert all(line["torrent"] == blob.info_hash and list(line)[:4] == ["event", "torrent", "self", "ts"] for line in lines)
    assert {line.get("piece", 0) for line in lines if line["event"] == "receive_piece"} == {0, 1, 2, 3}
    assert {line["peer"] for line in lines if "peer" in line} == {origin.peer_id}
    logged = {line["message"]: line for line in map(json.loads, log.read_text().splitlines())}
    assert logged["Outgoing connection accept"]["remote_peer_id"] == origin.peer_id
    done = logged["Download success"]
    assert (done["namespace"], done["size"], done["name"]) == ("t/app", blob.length, blob.name)
    assert (done["zone"], done["cluster"], done["service_name"]) == ("z1", "c1", "kraken-agent")
    assert isinstance(done["download_time"], float) and isinstance(done["ts"], float)
    assert logged["Seeder summaries"]["seeder_summaries"] == [
        {"peer_id": origin.peer_id, "requests_sent": 4, "good_pieces_received": 4, "duplicate_pieces_received": 0}]


def test_a_log_file_that_cannot_be_opened_is_said_at_start(tmp_path):
    (tmp_path / "agent.yaml").write_text("network_event: {enabled: true, log_path: /proc/nowhere/events}\n")
    done = subprocess.run([cluster.KRAKEND, "--role=agent", f"--data-dir={tmp_path}/agent", "--listen-address=127.0.0.2",
                           "--peer-port=0", "--agent-registry-port=0", "--agent-server-port=0",
                           f"--config={tmp_path}/agent.yaml"], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and "network_event.log_path: /proc/nowhere/events" in done.stderr


def test_limits_can_be_changed_while_it_runs(tmp_path):
    """conn_ttl and preemption_interval by PATCH, in nanoseconds: the link in use is made again and again."""
    blob = random_blob(24)
    origin = go_peer.GoOrigin("127.0.0.3", blob)
    config = tmp_path / "agent.yaml"
    config.write_text("scheduler: {conn: {bandwidth: {enable: true, ingress_bits_per_sec: %d}}}\n" % (4 * MIB * 8))
    with agent_behind(tmp_path, origin, f"--config={config}") as (_, agent):
        client = curl(agent, blob)
        await_until(lambda: (view(agent, blob) or {"peers": []})["peers"])
        limits = {"ConnTTL": 10 ** 9, "PreemptionInterval": 10 ** 9,
                  "Conn": {"Bandwidth": {"Enable": True, "IngressBitsPerSec": 6 * MIB * 8}}}
        patch = json.dumps(limits).encode()
        assert agent.request("agent server", "PATCH", "/x/config/scheduler", patch)[0] == 200
        assert agent.request("agent server", "PATCH", "/x/config/scheduler", b"{\"ConnTTL\": true}")[0] == 400
        assert client.wait(60) == 0
        assert origin.handshakes >= 2
        assert origin.served <= blob.count + origin.handshakes * go_peer.ORIGIN_PIPELINE


def test_a_seeder_that_nobody_uses_is_closed(tmp_path):
    blob = random_blob(3)
    origin = go_peer.GoOrigin("127.0.0.3", blob)
    config = tmp_path / "agent.yaml"
    config.write_text("scheduler: {seeder_tti: 1s, preemption_interval: 1s, conn_tti: 1s}\n")
    with agent_behind(tmp_path, origin, f"--config={config}") as (_, agent):
        assert get_blob(agent, blob.digest)[2] == blob.data
        await_until(lambda: agent.torrents() == [])
        # A peer that comes later finds the blob nevertheless, and its idle link is closed.
        link = wire.connect(agent.ports["agent peer"], blob, wire.new_peer_id())
        link.settimeout(20)
        assert link.recv(1) == b""


