"""How a process starts, is told of a new configuration, and ends."""

import contextlib
import ctypes
import hashlib
import http.client
import json
import os
import signal
import socket
import threading
import time

import pytest

import cluster
from crowd import metric
from images import MIB
from single_role import HOST, ROLES
from test_limits_of_the_host import await_until
from test_main_job import get_blob



def start(tmp_path, role, text="", *flags):
    config = tmp_path / f"{role}.yaml"
    config.write_text(text)
    return cluster.Process(role, tmp_path / role, f"--listen-address={HOST}", f"--config={config}", *ROLES[role][1],
                           *flags)


def ended(process, limit=20):
    """Waits for its end; the exit status."""
    status = process.process.wait(limit)
    process.reader.join()
    process.ended = True
    return status


@pytest.mark.parametrize("role", ROLES)
def test_no_role_needs_another_to_start(tmp_path, role):
    """Names that nobody knows and hosts that nobody is at: it starts, lives, and says that it is not ready."""
    text = {
        "agent": "tracker: {hosts: {dns: 'nowhere.invalid:1'}}\nbuild_index: {hosts: {static: ['127.0.0.1:1']}}\n",
        "proxy": "origin: {hosts: {static: ['127.0.0.1:1']}}\nbuild_index: {hosts: {dns: 'nowhere.invalid:1'}}\n",
        "tracker": "origin: {hosts: {dns: 'nowhere.invalid:1'}}\n",
        "build-index": "origin: {hosts: {static: ['127.0.0.1:1']}}\n",
        "origin": "",
    }[role]
    process = start(tmp_path, role, text)
    port = ROLES[role][0]
    assert process.request(port, "GET", "/health")[0] == 200
    ready = process.request(port, "GET", "/readiness")[0]
    assert ready == (200 if role in ("origin", "proxy") else 503)
    process.stop()


def test_draining(tmp_path):
    """Not ready at once, serving until the delay is over, finishing what runs, then status 0."""
    process = start(tmp_path, "origin", "drain_delay: 1s\ndrain_timeout: 15s\n")
    address = process.ports["origin blobserver"]
    blob = f"/namespace/t%2Fapp/blobs/sha256:{'ab' * 32}/uploads"
    upload = blob + "/" + process.request("origin blobserver", "POST", blob)[1]["Location"]
    body = os.urandom(MIB)
    slow = socket.create_connection(address, timeout=20)
    slow.sendall(f"PATCH {upload} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
                 f"Content-Range: 0-{len(body)}\r\n\r\n".encode() + body[:1000])
    process.process.send_signal(signal.SIGTERM)
    process.wait_for("stopping on signal")
    assert process.request("origin blobserver", "GET", "/readiness")[0] == 503
    assert process.request("origin blobserver", "GET", "/health")[0] == 200

    def refuses():
        try:
            socket.create_connection(address, timeout=5).close()
            return False
        except ConnectionRefusedError:
            return True
    await_until(refuses)
    assert process.process.poll() is None
    slow.sendall(body[1000:])
    answer = slow.recv(1000)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    slow.close()
    assert ended(process) == 0
    assert not [line for line in process.log if " ERROR " in line]


def test_a_push_through_a_herd_finishes_while_it_drains(tmp_path):
    """The proxy needs the origin of its process to the end of the upload, and what was said to be stored is."""
    herd = cluster.herd(tmp_path)
    data = os.urandom(2 * MIB)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    location = herd.request("proxy registry", "POST", "/v2/t/app/blobs/uploads/")[1]["Location"]
    with socket.create_connection(herd.ports["proxy registry"], timeout=20) as push:
        push.sendall(f"PUT {location}&digest={digest} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(data)}\r\n\r\n"
                     .encode() + data[:MIB])
        await_until(lambda: metric(herd, "proxy registry", "krakend_http_uploads_running") == 1)
        herd.process.send_signal(signal.SIGTERM)
        herd.wait_for("stopping on signal")
        push.sendall(data[MIB:])
        answer = push.recv(1000)
    assert answer.startswith(b"HTTP/1.1 201"), answer
    assert ended(herd) == 0
    herd.start()
    assert herd.request("proxy registry", "GET", f"/v2/t/app/blobs/{digest}")[2] == data
    herd.ended = False
    herd.stop()


def test_what_does_not_finish_is_cut_in_time(tmp_path):
    process = start(tmp_path, "origin", "drain_timeout: 1s\n")
    with socket.create_connection(process.ports["origin blobserver"], timeout=20) as half:
        half.sendall(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        process.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert ended(process) == 0
        assert time.monotonic() - began < 10


def test_a_second_signal_ends_it_now(tmp_path):
    process = start(tmp_path, "tracker", "drain_delay: 1h\n")
    process.process.send_signal(signal.SIGTERM)
    process.wait_for("stopping on signal")
    process.process.send_signal(signal.SIGTERM)
    assert ended(process) == 1


def test_pieces_that_were_asked_for_are_sent_before_the_end(tmp_path):
    config = tmp_path / "herd.yaml"
    config.write_text("origin:\n  scheduler: {conn: {bandwidth: {enable: true, egress_bits_per_sec: 33554432}}}\n")
    herd = cluster.herd(tmp_path, f"--config={config}", f"--listen-address={HOST}", f"--peer-ip={HOST}")
    digest = cluster.push_blob(herd, os.urandom(64 * MIB))
    agent = cluster.agent(tmp_path, herd, 1)

    def get():
        with contextlib.suppress(http.client.HTTPException, OSError):  # the rest never comes
            get_blob(agent, digest)
    getting = threading.Thread(target=get)
    getting.start()
    await_until(lambda: any(t["pieces_have"] >= 1 for t in agent.torrents()))
    had = agent.torrents()[0]["pieces_have"]
    herd.process.send_signal(signal.SIGTERM)
    assert ended(herd) == 0
    await_until(lambda: agent.torrents()[0]["pieces_have"] > had, 5)
    assert agent.torrents()[0]["pieces_have"] < 16
    agent.kill()
    getting.join()


def listening_socket_of(process, port):
    """A copy of a listening socket of the process."""
    libc = ctypes.CDLL(None, use_errno=True)
    pid = os.pidfd_open(process.process.pid)
    try:
        for name in os.listdir(f"/proc/{process.process.pid}/fd"):
            fd = libc.syscall(438, pid, int(name), 0)  # pidfd_getfd
            if fd < 0:
                continue
            try:
                candidate = socket.socket(fileno=fd)
            except OSError:
                os.close(fd)
                continue
            if candidate.family == socket.AF_INET and candidate.getsockname()[1] == port and \
                    candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return candidate
            candidate.close()
    finally:
        os.close(pid)
    pytest.skip("sockets of other processes cannot be had here")


@pytest.mark.parametrize("listener", ["origin blobserver", "origin peer"])
def test_a_listener_that_dies_ends_the_process_with_the_reason(tmp_path, listener):
    process = start(tmp_path, "origin")
    with listening_socket_of(process, process.ports[listener][1]) as stolen:
        stolen.shutdown(socket.SHUT_RDWR)
    assert ended(process) == 1
    said = [line for line in process.log if "the process ends" in line]
    assert len(said) == 1 and "listener" in said[0] and "accept" in said[0], process.log[-10:]


def reload(process, port):
    status, _, body = process.request(port, "POST", "/x/reload")
    return status, body.decode()


def test_reload_changes_what_can_change_and_names_the_rest(tmp_path):
    process = start(tmp_path, "tracker", "trackerserver: {announce_interval: 3s}\n")
    config = tmp_path / "tracker.yaml"
    config.write_text("trackerserver: {announce_interval: 7s}\npeerstore: {local: {ttl: 1h}}\n"
                      "zap: {level: debug}\nlimits: {connections: 100}\n")
    status, body = reload(process, "tracker api")
    said = json.loads(body)
    assert status == 200
    assert {key["key"] for key in said["changed"]} == {"trackerserver.announce_interval", "zap.level",
                                                       "limits.connections"}
    assert said["needs_restart"] == [{"role": "tracker", "key": "peerstore.local.ttl"}]
    peer = {"name": "ab" * 32, "info_hash": [0xab] * 20, "peer": {"peer_id": [0xcd] * 20, "ip": HOST, "port": 1}}
    status, _, body = process.request("tracker api", "POST", f"/announce/{'ab' * 20}", json.dumps(peer))
    assert status == 200 and json.loads(body)["interval"] == 7_000_000_000, body
    assert process.wait_for(" DEBUG ")
    # What needs a restart is said until it has had one; the rest is as it stands in the file.
    process.process.send_signal(signal.SIGHUP)
    assert process.wait_for("a restart is needed for: tracker peerstore.local.ttl", count=2)
    assert process.wait_for("reloaded: changed: nothing")
    process.stop()


def test_a_wrong_file_changes_nothing_and_is_said(tmp_path):
    process = start(tmp_path, "tracker", "trackerserver: {announce_interval: 3s}\n")
    config = tmp_path / "tracker.yaml"
    for wrong in ("trackerserver: {announce_interval: 9s, announce_limt: 5}\n", "trackerserver: [", "zap: {level: x}\n"):
        config.write_text(wrong)
        status, body = reload(process, "tracker api")
        assert status == 400 and "tracker.yaml:1" in body, body
    assert len(process.wait_for("not reloaded, everything stays as it was", count=3)) == 3
    config.write_text("trackerserver: {announce_interval: 3s}\n")
    assert json.loads(reload(process, "tracker api")[1]) == {"changed": [], "needs_restart": []}
    process.stop()


def test_reload_of_host_lists(tmp_path):
    """An agent finds its build-index after a reload; an origin stays in its ring."""
    build_index = start(tmp_path, "build-index")
    tags = "%s:%d" % build_index.ports["build-index api"]
    agent = start(tmp_path, "agent", "build_index: {hosts: {static: ['127.0.0.1:1']}}\n")
    assert agent.request("agent server", "GET", "/tags/t%2Fapp:v1")[0] == 500
    (tmp_path / "agent.yaml").write_text(f"build_index: {{hosts: {{static: ['{tags}']}}}}\n")
    agent.process.send_signal(signal.SIGHUP)
    agent.wait_for("reloaded: changed: agent build_index.hosts.static")
    assert agent.request("agent server", "GET", "/tags/t%2Fapp:v1")[0] == 404
    origin = start(tmp_path, "origin")
    (tmp_path / "origin.yaml").write_text("cluster: {static: ['127.0.0.9:1']}\n")
    status, body = reload(origin, "origin blobserver")
    assert status == 400 and "cluster.static" in body
    for process in (origin, agent, build_index):
        process.stop()


def test_reload_under_load_drops_no_request(tmp_path):
    process = start(tmp_path, "tracker", "trackerserver: {announce_interval: 3s}\n")
    address = process.ports["tracker api"]
    over = threading.Event()
    failures, answers = [], []

    def ask():
        connection = http.client.HTTPConnection(*address, timeout=10)
        while not over.is_set():
            try:
                connection.request("GET", "/health")
                answers.append(connection.getresponse().read())
            except OSError as error:
                failures.append(error)
        connection.close()

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for seconds in range(10, 20):
        (tmp_path / "tracker.yaml").write_text(f"trackerserver: {{announce_interval: {seconds}s}}\n")
        assert len(json.loads(reload(process, "tracker api")[1])["changed"]) == 1
    over.set()
    for asker in askers:
        asker.join()
    assert not failures and set(answers) == {b"OK\n"}
    process.stop()
