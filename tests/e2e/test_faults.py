import hashlib
import os
import pathlib
import subprocess

import cluster
from test_main_job import MIB, agents, get_blob, herd  # noqa: F401 (fixtures)


def curl(agent, digest):
    host, port = agent.ports["agent registry"]
    return subprocess.Popen(["curl", "-s", "-o", "/dev/null", f"http://{host}:{port}/v2/t/app/blobs/{digest}"])


def noted_pieces(agent):
    """How many pieces the bitmaps of partial downloads claim: what a process that is killed leaves."""
    return sum(path.read_bytes().count(b"\x01") for path in pathlib.Path(agent.data_dir, "download").rglob("_status"))


def test_killed_agent_resumes_from_its_bitmap(herd, agents):  # noqa: F811
    data = os.urandom(384 * MIB)
    digest = cluster.push_blob(herd, data)
    agent = agents(1)
    client = curl(agent, digest)
    while noted_pieces(agent) < 4:
        assert client.poll() is None
    agent.kill()
    client.wait()
    agent.start()
    assert hashlib.sha256(get_blob(agent, digest)[2]).hexdigest() == digest[7:]
    line = agent.wait_for("download complete")[0]
    fields = cluster.fields_of(line)
    resumed = int(fields["resumed_pieces"])
    assert resumed >= 4, line
    assert int(fields["from_origins"]) == len(data) - resumed * len(data) // int(fields["pieces"]), line


def test_running_download_survives_the_tracker(tmp_path):
    server = cluster.Process("origin,build-index,proxy", tmp_path / "server", "--proxy-port=0", "--peer-port=0",
                             "--blobserver-port=0", "--build-index-port=0", "--listen-address=127.0.0.1",
                             "--peer-ip=127.0.0.1")
    origin = "%s:%d" % server.ports["origin blobserver"]
    tracker = cluster.Process("tracker", tmp_path / "tracker", "--port=0", "--listen-address=127.0.0.1",
                              f"--origin={origin}")
    server.ports["tracker api"] = tracker.ports["tracker api"]
    digest = cluster.push_blob(server, os.urandom(256 * MIB))
    agent = cluster.agent(tmp_path, server, 1)
    client = curl(agent, digest)
    while not any(t["pieces_have"] >= 1 for t in agent.torrents()):
        pass
    tracker.kill()
    assert client.wait(60) == 0
    agent.wait_for("download complete")
    agent.stop()
    server.stop()
