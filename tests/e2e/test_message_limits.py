"""What is too long is refused and logged once, and the process goes on."""

import contextlib
import http.server
import json
import os
import re
import socket
import threading

import pytest

import cluster
from images import MIB
from test_main_job import agents, get_blob, herd  # noqa: F401 (fixtures)


def assert_alive(herd_process, agent):
    data = os.urandom(MIB)
    assert get_blob(agent, cluster.push_blob(herd_process, data))[2] == data


def test_request_head(herd, agents):  # noqa: F811
    """64 KiB pass, a byte more does not, on every HTTP port."""
    agent = agents(1)
    for process in (herd, agent):
        ports = {name: address for name, address in process.ports.items() if not name.endswith(" peer")}
        for address in ports.values():
            for size, refused in ((64 * 1024, False), (64 * 1024 + 1, True)):
                begin, end = b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Pad: ", b"\r\n\r\n"
                with socket.create_connection(address, timeout=10) as link:
                    link.sendall(begin + b"x" * (size - len(begin) - len(end)) + end)
                    assert (link.recv(100).split()[1] == b"431") == refused
        said = process.wait_for(r"WARN .* refused: request head exceeds 65536 bytes", count=len(ports))
        assert len(said) == len(ports)
    assert_alive(herd, agent)


def test_first_message_of_a_peer(herd, agents):  # noqa: F811
    agent = agents(1)
    with socket.create_connection(agent.ports["agent peer"], timeout=10) as link:
        link.sendall((32 * 1024 + 1).to_bytes(4, "big"))
        with contextlib.suppress(ConnectionError):
            assert link.recv(100) == b""
    assert len(agent.wait_for(r"WARN .* handshake refused: .* 32769 bytes exceeds the limit of 32768")) == 1
    assert_alive(herd, agent)


@pytest.fixture
def tracker_of_many_pieces():
    """A tracker whose metainfo has 100 001 pieces of a byte."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = re.search(r"sha256(?::|%3A)([0-9a-f]{64})", self.path)[1]
            body = json.dumps({"Info": {"PieceLength": 1, "PieceSums": [0] * 100_001, "Name": name,
                                        "Length": 100_001}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_metainfo_of_too_many_pieces(tmp_path, tracker_of_many_pieces):
    agent = cluster.Process("agent", tmp_path / "agent", "--listen-address=127.0.0.2", "--peer-ip=127.0.0.2",
                            "--peer-port=0", "--agent-registry-port=0", "--agent-server-port=0",
                            f"--tracker=127.0.0.1:{tracker_of_many_pieces}")
    try:
        status, headers, body = get_blob(agent, "sha256:" + "ab" * 32)
        assert status == 500 and headers["Content-Type"] == "application/json"
        assert "100001 pieces exceed the limit of 100000" in json.loads(body)["errors"][0]["message"]
        assert len(agent.wait_for("ERROR .* 100001 pieces exceed the limit of 100000")) == 1
        assert agent.request("agent server", "GET", "/health")[0] == 200
    finally:
        agent.stop()


def test_upload_of_too_many_pieces(tmp_path):
    """The origin says so as soon as the offset is beyond what pieces can describe."""
    (tmp_path / "origin.yaml").write_text("metainfogen:\n  piece_lengths: {0: 16B}\n")
    origin = cluster.Process("origin", tmp_path / "origin", f"--config={tmp_path}/origin.yaml",
                             "--listen-address=127.0.0.1", "--peer-ip=127.0.0.1", "--peer-port=0",
                             "--blobserver-port=0")
    try:
        blob = f"/namespace/t%2Fapp/blobs/sha256:{'ab' * 32}/uploads"
        status, headers, _ = origin.request("origin blobserver", "POST", blob)
        assert status == 200
        limit = 16 * 100_000
        upload = blob + "/" + headers["Location"]
        for first, last, expected in ((0, 9, 200), (limit - 1, limit, 400)):
            status, _, body = origin.request("origin blobserver", "PATCH", upload, b"x" * (last - first + 1),
                                             {"Content-Range": f"{first}-{last + 1}"})
            assert (status, b"beyond the largest blob" in body) == (expected, expected == 400), body
        assert origin.request("origin blobserver", "GET", "/health")[0] == 200
    finally:
        origin.stop()
