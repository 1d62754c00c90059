"""Uploads that something comes between: a broken connection, the death of the proxy, a client that pauses."""

import hashlib
import http.client
import os
import socket
import time

import pytest

from cluster import herd

MIB = 1024 * 1024
UPLOADS = "/v2/t/app/blobs/uploads/"


@pytest.fixture
def registry(tmp_path):
    process = herd(tmp_path)
    process.keep_ports(proxy="proxy registry")
    yield process
    process.stop()


def begin(process):
    return process.request("proxy registry", "POST", UPLOADS)[1]["Location"]


def received(process, location):
    """Bytes that the registry has of an upload."""
    status, headers, _ = process.request("proxy registry", "GET", location)
    assert status == 204
    last = int(headers["Range"].split("-")[1])
    return last + 1 if last else 0


def send_part(process, location, data, length):
    """A PATCH that announces `length` bytes and sends only `data`; the connection."""
    connection = socket.create_connection(process.ports["proxy registry"])
    connection.sendall(f"PATCH {location} HTTP/1.1\r\nHost: r\r\nContent-Length: {length}\r\n\r\n".encode() + data)
    return connection


def wait_until_written(process, location, size):
    """The session cannot be asked while a request works on it, so its file is watched."""
    upload = location.split("/")[-1].split("?")[0]
    path = os.path.join(process.data_dir, "upload", upload, "data")
    limit = time.monotonic() + 30
    while os.path.getsize(path) < size:
        assert time.monotonic() < limit, f"{path} has {os.path.getsize(path)} of {size} bytes"
        time.sleep(0.01)


def go_on(process, location, data):
    """Continues as a client does that asks how far it got; the blob is there afterwards, byte for byte."""
    have = received(process, location)
    headers = {"Content-Range": f"{have}-{len(data) - 1}"}
    status, answer, body = process.request("proxy registry", "PATCH", location, data[have:], headers)
    assert status == 202, body
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    status, _, body = process.request("proxy registry", "PUT", f"{answer['Location']}&digest={digest}")
    assert status == 201, body
    assert process.request("proxy registry", "GET", f"/v2/t/app/blobs/{digest}")[2] == data
    return have


def test_the_connection_breaks_in_the_middle_of_a_chunk(registry):
    data = os.urandom(4 * MIB)
    location = begin(registry)
    connection = send_part(registry, location, data[:MIB + 7], len(data))
    wait_until_written(registry, location, MIB + 7)
    connection.close()
    limit = time.monotonic() + 30
    while registry.request("proxy registry", "GET", location)[0] == 204 and received(registry, location) < MIB + 7:
        assert time.monotonic() < limit
    assert go_on(registry, location, data) == MIB + 7


def test_the_proxy_is_killed_in_the_middle_of_a_chunk(registry):
    data = os.urandom(4 * MIB)
    location = begin(registry)
    first, second = data[:MIB], data[MIB:2 * MIB + 5]
    assert registry.request("proxy registry", "PATCH", location, first)[0] == 202
    connection = send_part(registry, location, second, 3 * MIB)
    wait_until_written(registry, location, 2 * MIB + 5)
    registry.kill()
    connection.close()
    registry.start()
    registry.wait_for("1 unfinished uploads")
    assert go_on(registry, location, data) == 2 * MIB + 5


def test_a_client_that_sends_slowly_succeeds_and_holds_up_nobody(registry):
    """Longer than any time limit on a request head; between the bytes everybody else is served."""
    data = os.urandom(12)
    location = begin(registry)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    connection = http.client.HTTPConnection(*registry.ports["proxy registry"], timeout=60)
    connection.putrequest("PUT", f"{location}&digest={digest}")
    connection.putheader("Content-Length", str(len(data)))
    connection.endheaders()
    for byte in data:
        connection.send(bytes([byte]))
        began = time.monotonic()
        assert registry.request("proxy registry", "GET", "/v2/")[0] == 200
        time.sleep(max(0, 1 - (time.monotonic() - began)))
    assert connection.getresponse().status == 201
    connection.close()


def test_uploads_that_nobody_goes_on_with_go(tmp_path):
    config = tmp_path / "herd.yaml"
    config.write_text("proxy:\n  registry: {upload_ttl: 2s}\n")
    process = herd(tmp_path, f"--config={config}", "--listen-address=127.0.0.1")
    location = begin(process)
    process.request("proxy registry", "PATCH", location, b"hello")
    process.wait_for("dropped upload .* of t/app")
    assert process.request("proxy registry", "GET", location)[0] == 404
    assert os.listdir(os.path.join(process.data_dir, "upload")) == []
    process.stop()


def test_two_uploads_of_one_digest_at_once(registry):
    data = os.urandom(4 * MIB)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    connections = []
    for location in (begin(registry), begin(registry)):
        connection = http.client.HTTPConnection(*registry.ports["proxy registry"], timeout=60)
        connection.putrequest("PUT", f"{location}&digest={digest}")
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data[:MIB])
        connections.append(connection)
    for connection in connections:
        connection.send(data[MIB:])
    for connection in connections:
        assert connection.getresponse().status == 201
        connection.close()
    assert registry.request("proxy registry", "GET", f"/v2/t/app/blobs/{digest}")[2] == data
    assert os.listdir(os.path.join(registry.data_dir, "upload")) == []


def test_an_empty_blob_and_what_exists_already(registry):
    for data in (b"", b"hello"):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        for _ in range(2):
            status, _, body = registry.request("proxy registry", "PUT", f"{begin(registry)}&digest={digest}", data)
            assert status == 201, body
        status, headers, body = registry.request("proxy registry", "GET", f"/v2/t/app/blobs/{digest}")
        assert (status, body, headers["Content-Length"]) == (200, data, str(len(data)))


def test_a_client_that_expects_100_continue(registry):
    data = os.urandom(MIB)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    connection = socket.create_connection(registry.ports["proxy registry"], timeout=60)
    connection.sendall(f"PUT {begin(registry)}&digest={digest} HTTP/1.1\r\nHost: r\r\nContent-Length: {MIB}\r\n"
                       "Expect: 100-continue\r\nConnection: close\r\n\r\n".encode())
    assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
    connection.sendall(data)
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 201 ")
    connection.close()


def test_urls_for_a_client_behind_a_reverse_proxy(tmp_path):
    config = tmp_path / "herd.yaml"
    config.write_text("proxy:\n  registry: {trusted_proxies: [127.0.0.0/8]}\n")
    process = herd(tmp_path, f"--config={config}", "--listen-address=127.0.0.1")
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "registry.example", "X-Forwarded-Prefix": "/hub"}
    location = process.request("proxy registry", "POST", UPLOADS, headers=headers)[1]["Location"]
    assert location.startswith(f"https://registry.example/hub{UPLOADS}")
    assert begin(process).startswith(UPLOADS)
    process.stop()
