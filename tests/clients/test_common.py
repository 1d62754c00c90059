"""What every client does: push, pull by tag and by digest, indexes, the same image again, tags."""

import json

import pytest

import programs
from images import MIB, layer_tar, write_index_layout, write_layout


@pytest.fixture(params=programs.ALL, ids=lambda client: client.__name__.lower())
def client(request, tmp_path):
    made = request.param(tmp_path)
    print(request.param.__name__.lower(), made.version())
    yield made
    made.close()


def repository(client):
    return f"clients/{type(client).__name__.lower()}"


def config_digest(registry, repo, reference):
    return json.loads(registry.get(f"{repo}/manifests/{reference}")[2])["config"]["digest"]


def test_push_pull_and_push_again(tmp_path, client, registry):
    repo = repository(client)
    digest = write_layout(tmp_path / "image", [layer_tar("one", 3 * MIB), layer_tar("two", MIB)], compressed=True)
    client.push(tmp_path / "image", "v1", f"{registry.proxy_host}/{repo}:v1")
    pushed = registry.digest(repo, "v1")
    wanted = pushed if client.keeps_digests else config_digest(registry, repo, "v1")
    if client.keeps_digests:
        assert pushed == digest
    for host in (registry.proxy_host, registry.agent_host):
        assert client.pull(f"{host}/{repo}:v1") == wanted
        assert client.pull(f"{host}/{repo}@{pushed}") == wanted

    mark = registry.mark()
    client.push(tmp_path / "image", "v1", f"{registry.proxy_host}/{repo}:v1")
    sent = [request for request in registry.requests_since(mark, repo) if request[0] not in ("GET", "HEAD")]
    assert [request for request in sent if "/blobs/" in request[1]] == []
    assert registry.digest(repo, "v1") == pushed


def test_an_overwritten_tag_is_seen_at_once(tmp_path, client, registry):
    repo = repository(client) + "-moving"
    for number in ("1", "2"):
        write_layout(tmp_path / number, [layer_tar(number, 1000)], compressed=True)
        client.push(tmp_path / number, "v1", f"{registry.proxy_host}/{repo}:v1")
        pushed = registry.digest(repo, "v1")
        wanted = pushed if client.keeps_digests else config_digest(registry, repo, "v1")
        for host in (registry.proxy_host, registry.agent_host):
            assert client.pull(f"{host}/{repo}:v1") == wanted


def test_multi_architecture_index(tmp_path, client, registry):
    if not hasattr(client, "pull_index"):
        pytest.skip(f"{type(client).__name__} takes an index apart: see test_special")
    repo = repository(client)
    digest = write_index_layout(tmp_path / "image")
    client.push_index(tmp_path / "image", "multi", f"{registry.proxy_host}/{repo}:multi")
    assert registry.digest(repo, "multi") == digest
    for host in (registry.proxy_host, registry.agent_host):
        assert client.pull_index(f"{host}/{repo}:multi") == digest
        assert client.pull_index(f"{host}/{repo}@{digest}") == digest


def test_tags(tmp_path, client, registry):
    if not hasattr(client, "tags"):
        pytest.skip(f"{type(client).__name__} cannot list tags")
    repo = repository(client) + "-tags"
    write_layout(tmp_path / "image", [layer_tar("one", 1000)], compressed=True)
    for tag in ("v2", "v10", "latest"):
        programs.Skopeo(tmp_path).push(tmp_path / "image", "v1", f"{registry.proxy_host}/{repo}:{tag}")
    for host in (registry.proxy_host, registry.agent_host):
        if hasattr(client, "trust"):
            client.trust(host)
        assert client.tags(f"{host}/{repo}") == ["latest", "v10", "v2"]
