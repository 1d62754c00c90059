"""What an agent does when its disk is full and when its clients leave."""

import contextlib
import hashlib
import os
import signal
import socket
import time

import cluster
import disks
from test_main_job import MIB, agents, get_blob, herd  # noqa: F401 (fixtures)


def files_below(path):
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)


def test_full_disk_is_said_and_leaves_nothing_half(tmp_path, herd, agents):  # noqa: F811
    data = os.urandom(12 * MIB)
    digest = cluster.push_blob(herd, data)
    with disks.tmpfs(tmp_path / "agent1", f"size={16 * MIB}") as disk:
        (disk / "other-files").write_bytes(b"x" * (8 * MIB))
        agent = agents(1)
        status, headers, body = get_blob(agent, digest)
        assert status == 500 and headers["Content-Type"] == "application/json", body
        assert str(len(data)) in body.decode() and "free" in body.decode(), body
        assert [name for name in files_below(disk) if digest[7:] in name] == []
        agent.wait_for(r"digest=.*" + digest[7:] + ".*free")
        # The process lives, and goes on as soon as there is room.
        assert agent.request("agent server", "GET", "/health")[0] == 200
        (disk / "other-files").unlink()
        assert get_blob(agent, digest)[2] == data
        agent.wait_for("download complete")


def open_files(process):
    """What the descriptors of a process stand for; files by name, the rest by kind."""
    folder = f"/proc/{process.process.pid}/fd"
    found = []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed since the listing
            target = os.readlink(f"{folder}/{name}")
            found.append(target if target.startswith("/") else target.split(":")[0])
    return sorted(found)


def files(process):
    return [name for name in open_files(process) if name != "socket"]


def await_until(condition, limit=30):
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def delete(agent, digest):
    assert agent.request("agent server", "DELETE", f"/blobs/{digest}")[0] == 200


def send_get(agent, digest, first=0):
    client = socket.create_connection(agent.ports["agent registry"], timeout=10)
    client.sendall(f"GET /v2/t/app/blobs/{digest} HTTP/1.1\r\nHost: a\r\nRange: bytes={first}-\r\n\r\n".encode())
    return client


def ask(agent, digest):
    """A client that has seen the begin of the answer."""
    client = send_get(agent, digest)
    assert client.recv(100).startswith(b"HTTP/1.1 206")
    return client


def test_client_that_leaves_in_mid_download_leaks_nothing(herd, agents):  # noqa: F811
    """The rule: the download goes on, so that the next client finds the blob."""
    warm = cluster.push_blob(herd, os.urandom(MIB))
    digest = cluster.push_blob(herd, os.urandom(256 * MIB))
    agent = agents(1)
    get_blob(agent, warm)
    agent.wait_for("download complete digest=" + warm)
    delete(agent, warm)
    await_until(lambda: not any("/data" in name for name in open_files(agent)))
    before = open_files(agent)
    clients = 12
    for _ in range(clients):
        ask(agent, digest).close()
    line = agent.wait_for("download complete digest=" + digest)[0]
    assert f"bytes={256 * MIB}" in line
    status, headers, body = get_blob(agent, digest)
    assert (status, headers["X-Krakend-Source"]) == (200, "disk")
    assert hashlib.sha256(body).hexdigest() == digest[7:]
    delete(agent, digest)
    # Connections to the other roles come and go meanwhile; those of the clients that left would be more.
    await_until(lambda: files(agent) == [name for name in before if name != "socket"])
    await_until(lambda: open_files(agent).count("socket") < before.count("socket") + clients // 2)


def test_client_that_leaves_a_stalled_download_is_let_go(herd, agents):  # noqa: F811
    """Its connection ends when it leaves, not when the next bytes arrive."""
    digest = cluster.push_blob(herd, os.urandom(256 * MIB))
    agent = agents(1)
    clients = [ask(agent, digest)]
    await_until(lambda: any(t["pieces_have"] >= 1 for t in agent.torrents()))
    herd.process.send_signal(signal.SIGSTOP)
    try:
        clients += [send_get(agent, digest, 256 * MIB - 1) for _ in range(4)]  # of bytes that are not there yet
        await_until(lambda: next(t["readers"] for t in agent.torrents()) == len(clients))
        before = open_files(agent).count("socket")
        for client in clients:
            client.close()
        await_until(lambda: open_files(agent).count("socket") <= before - len(clients), 5)
    finally:
        herd.process.send_signal(signal.SIGCONT)
    agent.wait_for("download complete digest=" + digest)
