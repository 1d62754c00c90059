"""The cache of an agent on a small disk of its own: it makes room by itself."""

import os
import time

import cluster
from disks import tmpfs
from test_main_job import MIB, get_blob, herd  # noqa: F401 (fixture)


def small_agent(tmp_path, herd_process, folder, *lines):
    config = tmp_path / "agent.yaml"
    config.write_text("\n".join(["store:", "  cache_cleanup:", *(f"    {line}" for line in lines)]) + "\n")
    host, tracker = herd_process.ports["tracker api"]
    build_index = herd_process.ports["build-index api"][1]
    return cluster.Process("agent", folder, "--listen-address=127.0.0.2", "--peer-ip=127.0.0.2", "--peer-port=0",
                           "--agent-registry-port=0", "--agent-server-port=0", f"--tracker={host}:{tracker}",
                           f"--build-index={host}:{build_index}", f"--config={config}")


def cached(disk):
    """Bytes of blobs in the cache; one that goes meanwhile counts as gone."""
    total = 0
    for file in (disk / "agent" / "cache").rglob("data"):
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            pass
    return total


def test_a_full_disk_gets_room_from_what_was_used_least_recently(tmp_path, herd):  # noqa: F811
    blobs = [os.urandom(8 * MIB) for _ in range(12)]
    digests = [cluster.push_blob(herd, blob) for blob in blobs]
    with tmpfs(tmp_path / "disk", "size=64m") as disk:
        agent = small_agent(tmp_path, herd, disk / "agent", "disk_high: 60", "disk_low: 40")
        for number, (blob, digest) in enumerate(zip(blobs, digests)):
            status, _, body = get_blob(agent, digest)
            assert (status, body == blob) == (200, True), (number, body[:500])
        # Twelve of 8 MiB do not fit into 64 MiB: room was made at once, and then more, down to the low mark.
        agent.wait_for("the disk is too full: .* blobs evicted", 30)
        limit = time.monotonic() + 30
        while cached(disk) > 0.6 * 64 * MIB:
            assert time.monotonic() < limit, cached(disk)
            time.sleep(0.1)
        # What was evicted comes again.
        assert get_blob(agent, digests[0])[2] == blobs[0]
        agent.stop()


def test_what_nobody_reads_goes(tmp_path, herd):  # noqa: F811
    digest = cluster.push_blob(herd, os.urandom(MIB))
    agent = small_agent(tmp_path, herd, tmp_path / "agent", "interval: 1s", "tti: 1s")
    assert get_blob(agent, digest)[0] == 200
    agent.wait_for("unread for too long: 1 of 1 blobs evicted", 60)
    assert list((tmp_path / "agent" / "cache").rglob("data")) == []
    agent.stop()
