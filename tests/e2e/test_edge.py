"""What nginx did before the reference's services: the listeners behind it, and how long an answer may take."""

import contextlib
import os
import re
import socket
import subprocess
import threading

from cluster import KRAKEND, Process

DIGEST = "sha256:" + "ab" * 32


def ask_unix(path, target):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(path)
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(4096):
            answer += part
    return int(answer.split()[1])


@contextlib.contextmanager
def tracker(tmp_path, text):
    config = tmp_path / "tracker.yaml"
    config.write_text(text)
    process = Process("tracker", tmp_path, f"--config={config}", "--listen-address=127.0.0.1", "--port=0")
    try:
        yield process
    finally:
        process.stop()


def test_the_socket_of_the_reference_is_served_beside_the_port(tmp_path):
    path = str(tmp_path / "tracker.sock")
    text = f"trackerserver: {{listener: {{net: unix, addr: {path}}}}}"
    with tracker(tmp_path, text) as process:
        assert ask_unix(path, "/health") == 200
        assert process.request("tracker api", "GET", "/health")[0] == 200
        process.kill()
    assert os.path.exists(path), "who is killed cannot remove it"
    with tracker(tmp_path, text):
        assert ask_unix(path, "/health") == 200
    assert not os.path.exists(path)


def test_the_registry_s_own_socket(tmp_path):
    """Its keys stand in a block of which the rest has no meaning here."""
    path = str(tmp_path / "registry.sock")
    config = tmp_path / "proxy.yaml"
    config.write_text("origin: {hosts: {static: ['127.0.0.1:1']}}\nbuild_index: {hosts: {static: ['127.0.0.1:1']}}\n"
                      f"registry: {{docker: {{version: 0.1, http: {{net: unix, addr: {path}}}}}}}")
    process = Process("proxy", tmp_path, f"--config={config}", "--listen-address=127.0.0.1", "--port=0")
    try:
        assert ask_unix(path, "/v2/") == 200
        process.wait_for(r"registry\.docker \(.*proxy\.yaml:3\): accepted, not used")
    finally:
        process.stop()


def test_an_inner_listener_that_cannot_be_had_is_named(tmp_path):
    taken = tmp_path / "tracker.sock"
    taken.write_text("of somebody else")
    config = tmp_path / "tracker.yaml"
    config.write_text(f"trackerserver: {{listener: {{net: unix, addr: {taken}}}}}")
    ended = subprocess.run([KRAKEND, "--role=tracker", f"--data-dir={tmp_path}", f"--config={config}", "--port=0",
                            "--listen-address=127.0.0.1"], capture_output=True, text=True, timeout=20)
    assert ended.returncode != 0
    assert re.search(r"trackerserver\.listener: .*tracker\.sock is there and is no socket; choose another "
                     r"trackerserver\.listener\.addr", ended.stderr), ended.stderr
    assert taken.read_text() == "of somebody else"


def test_a_request_without_an_answer_gets_504(tmp_path):
    """The tracker's origins take connections and say nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as mute:
        held = []

        def hold():
            with contextlib.suppress(OSError):
                while True:
                    held.append(mute.accept()[0])

        threading.Thread(target=hold, daemon=True).start()
        text = f"origin: {{hosts: {{static: ['127.0.0.1:{mute.getsockname()[1]}']}}}}\nnginx: {{proxy_timeout: 1s}}"
        with tracker(tmp_path, text) as process:
            status, headers, body = process.request("tracker api", "GET", f"/namespace/t%2Fapp/blobs/{DIGEST}/metainfo")
            assert (status, body) == (504, b"no answer in time\n")
            process.wait_for(r"is answered 504: nothing to answer with within 1 s")
            assert process.request("tracker api", "GET", "/health")[0] == 200
            metrics = process.request("tracker api", "GET", "/metrics")[2].decode()
            assert re.search(r'http_limits_total\{[^}]*limit="answer_timeout"[^}]*\} 1', metrics)
            for connection in held:
                connection.close()
