"""Crowds of clients that are slow or many: the process keeps its limits, serves the others, and forgets them.

Numbers and times are bounded; KRAKEND_LOAD_SECONDS=60 makes the storm as long as the bench has it."""

import hashlib
import os
import resource
import time

import pytest

import cluster
from crowd import Client, Crowd, PacedPull, Storm, memory_mib, metric, threads
from images import MIB
from test_limits_of_the_host import await_until

HOST = "127.0.0.1"
PORT = "origin blobserver"
BUDGET = 256  # MiB: limits.memory_max of these tests
SECONDS = float(os.environ.get("KRAKEND_LOAD_SECONDS", "4"))


@pytest.fixture
def origin(tmp_path):
    config = tmp_path / "origin.yaml"
    config.write_text(f"limits:\n  memory_max: {BUDGET}MB\n  head_timeout: 2s\n  connections_per_address: 20000\n")
    process = cluster.Process("origin", tmp_path / "origin", f"--config={config}", f"--listen-address={HOST}",
                              f"--peer-ip={HOST}", "--peer-port=0", "--blobserver-port=0")
    yield process
    process.stop()


def stored(origin, data):
    """Path of a blob that the origin has."""
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    blob = f"/namespace/t%2Fapp/blobs/{digest}"
    upload = f"{blob}/uploads/" + origin.request(PORT, "POST", f"{blob}/uploads")[1]["Location"]
    headers = {"Content-Range": f"0-{len(data)}"}
    assert origin.request(PORT, "PATCH", upload, data, headers)[0] == 200
    assert origin.request(PORT, "PUT", upload)[0] in (200, 201)
    return blob


def assert_serves(origin):
    began = time.monotonic()
    assert origin.request(PORT, "GET", "/health", timeout=5)[0] == 200
    assert origin.request(PORT, "GET", "/x/torrents", timeout=5)[0] == 200
    return time.monotonic() - began


def await_calm(origin, memory_before):
    """Within 10 s everything is as before."""
    await_until(lambda: metric(origin, PORT, "krakend_http_connections") <= 1, 10)
    assert metric(origin, PORT, "krakend_http_uploads_running") == 0
    await_until(lambda: memory_mib(origin) < memory_before + 32, 10)


def test_ten_thousand_idle_connections(origin):
    count = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1000)
    before = memory_mib(origin)
    clients = [Client(origin.ports[PORT], b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(count)]
    with Crowd(clients):
        await_until(lambda: all(client.received for client in clients), 60)
        assert metric(origin, PORT, "krakend_http_connections") > count
        grown = memory_mib(origin) - before
        print(f"{count} idle connections: {1024 * grown / count:.1f} KiB each, {threads(origin)} threads")
        assert memory_mib(origin) < BUDGET
        assert threads(origin) <= 64
        assert_serves(origin)
    await_calm(origin, before)


def test_two_thousand_slow_heads(origin):
    before = memory_mib(origin)
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: " + b"x" * 1000
    clients = [Client(origin.ports[PORT], head, portion=1) for _ in range(2000)]
    with Crowd(clients):
        await_until(lambda: metric(origin, PORT, "krakend_http_connections") > 1000)
        assert_serves(origin)
        await_until(lambda: all(client.closed for client in clients), 30)
        assert threads(origin) <= 64
    assert all(client.begin.startswith(b"HTTP/1.1 408") for client in clients)
    assert metric(origin, PORT, "krakend_http_limits_total", limit="head_timeout") == 2000
    await_calm(origin, before)


def test_a_thousand_slow_downloads_with_a_thousand_slow_uploads(origin):
    blob = stored(origin, os.urandom(8 * MIB))
    before = memory_mib(origin)
    address = origin.ports[PORT]
    get = f"GET {blob} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    downloads = [Client(address, get, appetite=1024) for _ in range(1000)]
    uploads = []
    body = os.urandom(MIB)
    for index in range(1000):
        other = f"/namespace/t%2Fapp/blobs/sha256:{index:064x}/uploads"
        upload = f"{other}/" + origin.request(PORT, "POST", other)[1]["Location"]
        head = f"PATCH {upload} HTTP/1.1\r\nHost: a\r\nContent-Range: 0-{MIB}\r\nContent-Length: {MIB}\r\n\r\n"
        uploads.append(Client(address, head.encode() + body, portion=1024))
    with Crowd(downloads + uploads):
        await_until(lambda: all(client.received > 2000 for client in downloads), 60)
        await_until(lambda: metric(origin, PORT, "krakend_http_uploads_running") == 1000)
        began = time.monotonic()
        slowest = 0.0
        while time.monotonic() - began < SECONDS:
            slowest = max(slowest, assert_serves(origin))
        print(f"slowest of the others: {slowest:.3f} s; {threads(origin)} threads; {memory_mib(origin):.0f} MiB")
        assert threads(origin) <= 64
        assert memory_mib(origin) < BUDGET
        assert not any(client.closed for client in downloads + uploads)
    await_calm(origin, before)


def test_a_storm_of_requests_while_a_pull_goes_on(origin):
    small = stored(origin, os.urandom(1024))
    large = stored(origin, os.urandom(64 * MIB))
    before = memory_mib(origin)
    address = origin.ports[PORT]
    rate = 2 * MIB
    request = f"GET {small} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    with PacedPull(address, large, rate) as pull:
        await_until(lambda: pull.received > MIB)
        with Storm(address, request) as storm:
            had, began = pull.received, time.monotonic()
            slowest = 0.0
            while time.monotonic() - began < SECONDS:
                slowest = max(slowest, assert_serves(origin))
                assert memory_mib(origin) < BUDGET
            speed = (pull.received - had) / (time.monotonic() - began)
        print(f"pull at {speed / rate:.2f} of its speed, others within {slowest:.3f} s, {storm.answers} in the storm")
        assert speed > rate / 2
    assert storm.answers.get(b"200", 0) > 100
    await_calm(origin, before)


def test_more_connections_than_allowed(tmp_path):
    """Over the limit: 503 with Retry-After, health all the same, and a number that tells."""
    config = tmp_path / "tracker.yaml"
    config.write_text("limits: {connections: 50}\n")
    tracker = cluster.Process("tracker", tmp_path / "tracker", f"--config={config}", f"--listen-address={HOST}", "--port=0")
    port = "tracker api"
    ask = b"GET /readiness HTTP/1.1\r\nHost: a\r\n\r\n"
    with Crowd([Client(tracker.ports[port], ask) for _ in range(50)]) as crowd:
        await_until(lambda: all(client.received for client in crowd.clients))
        status, headers, _ = tracker.request(port, "GET", "/namespace/a/blobs/b/metainfo")
        assert status == 503 and headers["Retry-After"] == "1"
        assert tracker.request(port, "GET", "/health")[0] == 200
        assert metric(tracker, port, "krakend_http_limits_total", limit="connections") >= 3
    tracker.stop()


def test_too_few_open_files_are_said(tmp_path):
    tracker = cluster.Process("tracker", tmp_path / "tracker", f"--listen-address={HOST}", "--port=0",
                              prefix=["prlimit", "--nofile=2048:2048"])
    assert tracker.wait_for(r"WARN .*2048 open files are allowed: 1536 connections instead of limits.connections 20000")
    tracker.stop()


def test_a_full_memory_budget_sheds_pulls_and_nothing_else(tmp_path):
    """memory_max below what the process has: pulls get 503, health and uploads are served; a reload ends it."""
    config = tmp_path / "origin.yaml"
    config.write_text("limits: {memory_max: 1MB}\n")
    origin = cluster.Process("origin", tmp_path / "origin", f"--config={config}", f"--listen-address={HOST}",
                             f"--peer-ip={HOST}", "--peer-port=0", "--blobserver-port=0")
    origin.wait_for("WARN .*too much to do: pulls get 503")
    blob = stored(origin, os.urandom(1000))
    status, headers, _ = origin.request(PORT, "GET", blob)
    assert status == 503 and headers["Retry-After"] == "1"
    assert origin.request(PORT, "GET", "/health")[0] == 200
    assert metric(origin, PORT, "krakend_overloaded") == 1
    assert metric(origin, PORT, "krakend_http_limits_total", limit="overload") == 1
    config.write_text("limits: {memory_max: 1GB}\n")
    assert origin.request(PORT, "POST", "/x/reload")[0] == 200
    origin.wait_for("pulls are served again")
    assert origin.request(PORT, "GET", blob)[0] == 200
    origin.stop()
