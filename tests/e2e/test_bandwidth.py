"""scheduler.conn.bandwidth: neither faster than it says, nor much slower."""

import os
import time

import pytest

import cluster

MB = 1_000_000
SIZE = 30 * MB


@pytest.mark.parametrize("side", ["origin", "agent"])
def test_pieces_move_at_the_rate_that_is_set(tmp_path, side):
    limit = "scheduler: {conn: {bandwidth: {enable: true, %s: %d}}}"
    config = tmp_path / "config.yaml"
    slow = limit % (("egress" if side == "origin" else "ingress") + "_bits_per_sec", 10 * MB * 8)
    config.write_text(slow if side == "agent" else f"origin: {{{slow}}}\n")
    herd_flags = [f"--config={config}", "--listen-address=127.0.0.1", "--peer-ip=127.0.0.1"] if side == "origin" else []
    herd = cluster.herd(tmp_path, *herd_flags)
    data = os.urandom(SIZE)
    digest = cluster.push_blob(herd, data)
    host, tracker = herd.ports["tracker api"]
    agent = cluster.Process(
        "agent", tmp_path / "agent", "--listen-address=127.0.0.70", "--peer-ip=127.0.0.70", "--peer-port=0",
        "--agent-registry-port=0", "--agent-server-port=0", f"--tracker={host}:{tracker}",
        f"--build-index={host}:{herd.ports['build-index api'][1]}",
        *([f"--config={config}"] if side == "agent" else []))
    start = time.monotonic()
    status, _, body = agent.request("agent registry", "GET", f"/v2/t/app/blobs/{digest}")
    took = time.monotonic() - start
    assert (status, body) == (200, data)
    print(f"{SIZE / MB / took:.1f} MB/s")
    assert SIZE / (10 * MB) * 0.97 < took < SIZE / (10 * MB) * 3
    agent.stop()
    herd.stop()
