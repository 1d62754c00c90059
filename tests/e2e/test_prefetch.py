"""Images that are brought to the origins before anybody pulls them."""

import http.client
import json
import re

import pytest

import cluster
from images import MIB, layer_tar, write_index_layout, write_layout
from test_limits_of_the_host import await_until
from test_main_job import skopeo

REPO = "team/app"


@pytest.fixture
def herd(tmp_path):
    config = tmp_path / "herd.yaml"
    config.write_text("proxy: {server: {listener: {net: tcp, addr: '127.0.0.1:0'}}}\n"
                      "origin: {cluster: {static: []}}\n")
    process = cluster.herd(tmp_path, f"--config={config}", "--listen-address=127.0.0.1")
    inside = re.search(r"server\.listener (\S+):(\d+)$", process.wait_for(r"server\.listener ")[0])
    process.ports["proxy server"] = (inside[1], int(inside[2]))
    yield process
    process.stop()


def push(tmp_path, herd, write, tag):
    """The blobs of an image that is pushed, by digest."""
    layout = tmp_path / tag
    top = write(layout, tag=tag)
    host, port = herd.ports["proxy registry"]
    skopeo("--all", "--dest-tls-verify=false", f"oci:{layout}:{tag}", f"docker://{host}:{port}/{REPO}:{tag}")
    return top, {f"sha256:{path.name}": path.read_bytes() for path in (layout / "blobs" / "sha256").iterdir()}


def at_the_origin(herd, digest):
    return herd.request("origin blobserver", "HEAD", f"/internal/namespace/x/blobs/{digest}?local=true")[0] == 200


def lose(herd, blobs):
    """Away from the origin, which keeps what its backend does not have yet."""
    for digest in blobs:
        await_until(lambda: herd.request("origin blobserver", "DELETE", f"/internal/blobs/{digest}")[0] in (202, 404))
        assert not at_the_origin(herd, digest)


def prefetch(herd, version, tag, port="proxy registry", repo=REPO):
    body = json.dumps({"tag": f"registry.example/{repo}:{tag}", "trace_id": "t-7"})
    status, headers, answer = herd.request(port, "POST", f"/proxy/v{version}/registry/prefetch", body)
    assert headers["Content-Type"] == "application/json"
    return status, json.loads(answer)


def layers(path, tag):
    return write_layout(path, [layer_tar("one", 3 * MIB), layer_tar("two", 100)], tag, compressed=True)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("write", [layers, write_index_layout])
def test_an_image_that_the_origin_has_lost_comes_back(tmp_path, herd, version, write):
    _, blobs = push(tmp_path, herd, write, "v1")
    assert prefetch(herd, version, "v1")[0] == 200, "nothing is lost yet"
    lose(herd, blobs)
    assert prefetch(herd, version, "v1") == (200, {
        "tag": "app:v1", "prefetched": True, "status": "success", "trace_id": "t-7",
        "message": "prefetching initiated successfully"})
    for digest, data in blobs.items():
        await_until(lambda: at_the_origin(herd, digest))
        status, headers, body = herd.request("origin blobserver", "GET", f"/namespace/x/blobs/{digest}")
        assert (status, headers["X-Krakend-Source"], body) == (200, "disk", data)


def test_a_notification_brings_what_was_pushed(tmp_path, herd):
    top, blobs = push(tmp_path, herd, layers, "v1")
    lose(herd, blobs)
    event = {"action": "push", "timestamp": "2026-01-02T03:04:05Z", "target": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": top, "repository": REPO}}
    body = json.dumps({"events": [event]})
    assert herd.request("proxy registry", "POST", "/registry/notifications", body)[0] == 404
    assert herd.request("proxy server", "POST", "/registry/notifications", body)[::2] == (200, b"")
    for digest in blobs:
        await_until(lambda: at_the_origin(herd, digest))


def test_what_is_not_there_is_said_and_logged_with_its_trace(tmp_path, herd):
    status, answer = prefetch(herd, 2, "none")
    assert status == 500 and answer["error"] == "Internal Server Error" and answer["prefetched"] is False
    assert answer["message"] == "tag request: team%2Fapp%3Anone, failed to get tag: tag not found"
    herd.wait_for(r"WARN proxy/prefetch prefetch of registry\.example/team/app:none \(trace_id t-7\): ")
    status, answer = prefetch(herd, 1, "v1", repo="app")
    assert status == 400 and answer["error"] == "Bad Request"


def test_one_address_may_not_ask_too_often(herd):
    connection = http.client.HTTPConnection(*herd.ports["proxy registry"], timeout=10)
    seen = set()
    for _ in range(400):
        connection.request("POST", "/proxy/v2/registry/prefetch", "x")
        answer = connection.getresponse()
        answer.read()
        seen.add(answer.status)
    connection.close()
    assert seen == {400, 429}


def test_a_proxy_that_stops_in_the_middle_ends_cleanly(tmp_path, herd):
    _, blobs = push(tmp_path, herd, layers, "v1")
    lose(herd, blobs)
    assert prefetch(herd, 1, "v1")[0] == 200
    herd.stop()
