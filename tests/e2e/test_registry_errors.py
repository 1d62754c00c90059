"""Bad requests on the registry ports: the registry's error JSON with the right code, and nothing half kept."""

import json

import pytest

import cluster
from test_main_job import agents, herd  # noqa: F401 (fixtures)

UNKNOWN = "sha256:" + "ab" * 32
UPLOADS = "/v2/t/app/blobs/uploads/"
OCI_MANIFEST = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}


def error_code(headers, body):
    assert headers["Content-Type"] == "application/json"
    error = json.loads(body)["errors"][0]
    assert error["message"] and "detail" in error
    return error["code"]


READS = [
    ("/v2/t/app/blobs/sha256:zz", 400, "DIGEST_INVALID"),
    ("/v2/t/app/blobs/md5:" + "ab" * 16, 400, "DIGEST_INVALID"),
    ("/v2/t/app/blobs/" + UNKNOWN, 404, "BLOB_UNKNOWN"),
    ("/v2/UPPER/blobs/" + UNKNOWN, 400, "NAME_INVALID"),
    ("/v2/a/../b/blobs/" + UNKNOWN, 400, "NAME_INVALID"),
    ("/v2/" + "n" * 256 + "/tags/list", 400, "NAME_INVALID"),
    ("/v2/gone/tags/list", 404, "NAME_UNKNOWN"),
    ("/v2/t/app/tags/list?n=x", 400, "PAGINATION_NUMBER_INVALID"),
    ("/v2/t/app/manifests/.bad", 404, "MANIFEST_UNKNOWN"),
    ("/v2/t/app/manifests/" + "x" * 129, 404, "MANIFEST_UNKNOWN"),
    ("/v2/t/app/manifests/sha256:zz", 400, "DIGEST_INVALID"),
    ("/v2/t/app/manifests/gone", 404, "MANIFEST_UNKNOWN"),
    ("/v2/t/app/manifests/" + UNKNOWN, 404, "MANIFEST_UNKNOWN"),
]


def test_reads(herd, agents):  # noqa: F811
    for process, port in ((herd, "proxy registry"), (agents(1), "agent registry")):
        for path, status, code in READS:
            got, headers, body = process.request(port, "GET", path)
            assert (path, got, error_code(headers, body)) == (path, status, code)
            got, _, body = process.request(port, "HEAD", path)
            assert (path, got, body) == (path, status, b"")


WRITES = [
    ("POST", UPLOADS + "?digest=sha256:zz", b"", 400, "DIGEST_INVALID"),
    ("PATCH", UPLOADS + "no-such-upload", b"x", 404, "BLOB_UPLOAD_UNKNOWN"),
    ("PUT", "/v2/t/app/manifests/.bad", b"{}", 400, "TAG_INVALID"),
    ("PUT", "/v2/t/app/manifests/v1", b"not json", 400, "MANIFEST_INVALID"),
    ("PUT", "/v2/t/app/manifests/v1", b"x" * (4 * 1024 * 1024 + 1), 413, "MANIFEST_INVALID"),
]


def test_writes(herd):  # noqa: F811
    for method, path, sent, status, code in WRITES:
        got, headers, body = herd.request("proxy registry", method, path, sent, OCI_MANIFEST)
        assert (path, got, error_code(headers, body)) == (path, status, code)


def test_manifest_of_a_missing_blob(herd):  # noqa: F811
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST["Content-Type"], "layers": [],
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 1, "digest": UNKNOWN}}
    got, headers, body = herd.request("proxy registry", "PUT", "/v2/t/app/manifests/v1", json.dumps(manifest),
                                      OCI_MANIFEST)
    assert (got, error_code(headers, body)) == (400, "MANIFEST_BLOB_UNKNOWN") and UNKNOWN.encode() in body
    assert herd.request("proxy registry", "GET", "/v2/t/app/manifests/v1")[0] == 404


def test_an_agent_is_read_only(agents):  # noqa: F811
    agent = agents(1)
    for method, path in (("POST", UPLOADS), ("PUT", "/v2/t/app/manifests/v1"), ("PATCH", UPLOADS + "x")):
        got, headers, body = agent.request("agent registry", method, path, b"")
        assert (got, error_code(headers, body)) == (405, "UNSUPPORTED") and b"proxy" in body


@pytest.mark.parametrize("bad", ["bytes=10-", "bytes=5-2", "bytes=99999999999999999999999-"])
def test_ranges_beyond_the_blob(herd, agents, bad):  # noqa: F811
    digest = cluster.push_blob(herd, b"0123456789")
    for process, port in ((herd, "proxy registry"), (agents(1), "agent registry")):
        got, headers, body = process.request(port, "GET", f"/v2/t/app/blobs/{digest}", headers={"Range": bad})
        assert (got, error_code(headers, body), headers["Content-Range"]) == (416, "RANGE_INVALID", "bytes */10")


def test_ranges_that_are_none_are_ignored(herd, agents):  # noqa: F811
    """RFC 9110 §14.2: a Range that cannot be read counts as absent."""
    digest = cluster.push_blob(herd, b"0123456789")
    for process, port in ((herd, "proxy registry"), (agents(1), "agent registry")):
        for odd in ("bytes=x-y", "lines=1-2"):
            got, _, body = process.request(port, "GET", f"/v2/t/app/blobs/{digest}", headers={"Range": odd})
            assert (got, body) == (200, b"0123456789")


def test_content_range_out_of_order_keeps_the_upload(herd):  # noqa: F811
    def patch(content_range):
        return herd.request("proxy registry", "PATCH", location, b"hello", {"Content-Range": content_range})

    location = herd.request("proxy registry", "POST", UPLOADS)[1]["Location"]
    status, headers, _ = patch("0-4")
    assert (status, headers["Range"]) == (202, "0-4")
    location = headers["Location"]
    upload = "BLOB_UPLOAD_INVALID"
    for bad, status, code in (("7-11", 416, upload), ("0-4", 416, upload), ("5-3", 400, upload),
                              ("five-nine", 400, upload), ("5-99", 400, "SIZE_INVALID")):
        got, headers, body = patch(bad)
        assert (bad, got, error_code(headers, body)) == (bad, status, code)
    status, headers, _ = herd.request("proxy registry", "GET", location)
    assert (status, headers["Range"]) == (204, "0-4")
