"""A Range of a blob that nobody has pulled yet: its pieces come first, and nobody waits for the rest."""

import hashlib
import os
import threading

import cluster

MB = 1_000_000
SIZE = 60 * MB
BEGIN, LENGTH = 47 * MB, 9 * MB


def test_a_range_of_a_cold_blob_does_not_wait_for_the_rest(tmp_path):
    herd = cluster.herd(tmp_path)
    data = os.urandom(SIZE)
    digest = cluster.push_blob(herd, data)
    config = tmp_path / "agent.yaml"
    config.write_text("scheduler: {conn: {bandwidth: {enable: true, ingress_bits_per_sec: %d}}}\n" % (20 * MB * 8))
    host, tracker = herd.ports["tracker api"]
    agents = [cluster.Process(
        "agent", tmp_path / f"agent{index}", f"--config={config}", f"--listen-address=127.0.0.{index}",
        f"--peer-ip=127.0.0.{index}", "--peer-port=0", "--agent-registry-port=0", "--agent-server-port=0",
        f"--tracker={host}:{tracker}", f"--build-index={host}:{herd.ports['build-index api'][1]}")
        for index in (80, 81)]
    path = f"/v2/t/app/blobs/{digest}"
    # With others about, an origin shows each only part of what it has.
    other = threading.Thread(target=agents[1].request, args=("agent registry", "GET", path))
    other.start()
    parts = {}

    def get(begin):
        parts[begin] = agents[0].request("agent registry", "GET", path,
                                         headers={"Range": f"bytes={begin}-{begin + LENGTH - 1}"})

    readers = [threading.Thread(target=get, args=(begin,)) for begin in (BEGIN, 20 * MB)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    torrent = agents[0].torrents()[0]
    assert torrent["pieces_have"] < torrent["pieces"], torrent
    for begin, (status, headers, body) in parts.items():
        assert status == 206 and body == data[begin:begin + LENGTH]
        assert headers["Content-Range"] == f"bytes {begin}-{begin + LENGTH - 1}/{SIZE}"
        assert headers["X-Krakend-Verified"] == "crc32"
    status, headers, body = agents[0].request("agent registry", "GET", path)
    assert status == 200 and hashlib.sha256(body).hexdigest() == digest[7:] and "X-Krakend-Verified" not in headers
    # Complete: verified as a whole.
    status, headers, body = agents[0].request("agent registry", "GET", path, headers={"Range": "bytes=5-9"})
    assert (status, body) == (206, data[5:10]) and "X-Krakend-Verified" not in headers
    other.join()
    for process in (*agents, herd):
        process.stop()
