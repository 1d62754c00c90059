"""What is special to each client: mounts, artifacts, referrers, deletes, signatures, charts, mirrors, layouts."""

import json
import os
import shutil
import subprocess

import pytest

import programs
import tools
from images import MIB, layer_tar, write_index_layout, write_layout
from programs import run


@pytest.fixture
def image(tmp_path, registry):
    """(repository, digest) of an image that skopeo has pushed as v1, of this test's own."""
    repo = "special/" + tmp_path.name.lower().replace("_", "-")
    write_layout(tmp_path / "image", [layer_tar("one", MIB)], compressed=True)
    programs.Skopeo(tmp_path).push(tmp_path / "image", "v1", f"{registry.proxy_host}/{repo}:v1")
    return repo, registry.digest(repo, "v1")


def started(client_type, tmp_path, request):
    client = client_type(tmp_path)
    request.addfinalizer(client.close)
    return client


def test_skopeo_mounts_what_another_repository_has(tmp_path, registry, image):
    repo, digest = image
    mark = registry.mark()
    programs.Skopeo(tmp_path).copy(f"docker://{registry.proxy_host}/{repo}:v1",
                                   f"docker://{registry.proxy_host}/{repo}-copy:v1")
    assert registry.digest(f"{repo}-copy", "v1") == digest
    assert not any(method == "PATCH" for method, _ in registry.requests_since(mark, f"{repo}-copy"))


def test_skopeo_deletes(tmp_path, registry, image):
    repo, digest = image
    run("skopeo", "delete", "--tls-verify=false", f"docker://{registry.proxy_host}/{repo}:v1")
    assert registry.get(f"{repo}/manifests/{digest}", "HEAD")[0] == 404
    assert registry.tags(repo) == []


def test_umoci_makes_a_layout(tmp_path, registry):
    programs.program("umoci", "skopeo")
    layout = tmp_path / "umoci"
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:v1")
    (tmp_path / "layer.tar").write_bytes(layer_tar("file", MIB))
    run("umoci", "raw", "add-layer", "--image", f"{layout}:v1", tmp_path / "layer.tar")
    skopeo = programs.Skopeo(tmp_path)
    skopeo.push(layout, "v1", f"{registry.proxy_host}/special/umoci:v1")
    skopeo.copy(f"docker://{registry.agent_host}/special/umoci:v1", f"oci:{tmp_path}/back:v1")
    run("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/back:v1", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "rootfs" / "file").stat().st_size == MIB


def test_podman_pushes_a_manifest_list(tmp_path, registry, request):
    podman = started(programs.Podman, tmp_path, request)
    write_index_layout(tmp_path / "image")
    podman.push_index(tmp_path / "image", "multi", f"{registry.proxy_host}/special/podman:multi")
    index = json.loads(registry.get("special/podman/manifests/multi")[2])
    assert {entry["platform"]["architecture"] for entry in index["manifests"]} == {"amd64", "arm64"}
    for architecture in ("amd64", "arm64"):
        podman.call("pull", "-q", "--tls-verify=false", f"--arch={architecture}",
                    f"{registry.agent_host}/special/podman:multi")


def test_buildah_builds_and_pushes(tmp_path, registry, request):
    buildah = started(programs.Buildah, tmp_path, request)
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "hello").write_bytes(os.urandom(1000))
    (tmp_path / "context" / "Dockerfile").write_text("FROM scratch\nCOPY hello /\n")
    buildah.call("bud", "-q", "-t", "built", tmp_path / "context")
    buildah.call("push", "-q", "--tls-verify=false", "built", f"docker://{registry.proxy_host}/special/buildah:v1")
    buildah.call("rmi", "-f", "built")
    buildah.pull(f"{registry.agent_host}/special/buildah:v1")


def test_docker_pulls_through_a_mirror_and_picks_from_an_index(tmp_path, registry, request):
    docker = started(programs.Docker, tmp_path, request)
    skopeo = programs.Skopeo(tmp_path)
    write_index_layout(tmp_path / "image")
    skopeo.push_index(tmp_path / "image", "multi", f"{registry.proxy_host}/library/base:multi")
    docker.start(f"--registry-mirror=http://{registry.agent_host}")
    docker.call("pull", "-q", "base:multi")
    docker.call("pull", "-q", f"{registry.agent_host}/library/base:multi")
    # An index of docker's own making.
    names = []
    for number in ("1", "2"):
        write_layout(tmp_path / number, [layer_tar(number, 1000)], compressed=True)
        names.append(f"{registry.proxy_host}/special/docker:{number}")
        docker.push(tmp_path / number, "v1", names[-1])
    docker.call("manifest", "create", "--insecure", f"{registry.proxy_host}/special/docker:list", *names)
    docker.call("manifest", "push", "--insecure", f"{registry.proxy_host}/special/docker:list")
    assert len(json.loads(registry.get("special/docker/manifests/list")[2])["manifests"]) == 2
    docker.call("pull", "-q", f"{registry.agent_host}/special/docker:list")


def test_ctr_pulls_through_hosts_toml(tmp_path, registry, image, request):
    ctr = started(programs.Ctr, tmp_path, request)
    repo, _ = image
    folder = tmp_path / "hosts" / "registry.example.com"
    folder.mkdir(parents=True)
    (folder / "hosts.toml").write_text(f'''server = "https://registry.example.com"
[host."http://{registry.agent_host}"]
  capabilities = ["pull", "resolve"]
''')
    ctr.call("content", "fetch", "--hosts-dir", tmp_path / "hosts", f"registry.example.com/{repo}:v1")


def test_crane_catalog_copy_and_delete(tmp_path, registry, image):
    crane = tools.installed(tools.CRANE)
    repo, digest = image
    assert repo in run(crane, "catalog", "--insecure", registry.proxy_host).stdout.split()
    run(crane, "copy", "--insecure", f"{registry.proxy_host}/{repo}:v1", f"{registry.proxy_host}/{repo}-copy:v2")
    run(crane, "tag", "--insecure", f"{registry.proxy_host}/{repo}:v1", "stable")
    assert registry.digest(repo, "stable") == digest
    run(crane, "delete", "--insecure", f"{registry.proxy_host}/{repo}@{digest}")
    assert registry.tags(repo) == []
    assert registry.digest(f"{repo}-copy", "v2") == digest


def test_oras_artifacts_and_referrers(tmp_path, registry, image):
    oras = tools.installed(tools.ORAS)
    repo, digest = image
    (tmp_path / "notes.txt").write_text("some notes")
    (tmp_path / "sbom.json").write_text("{}")
    proxy, agent = f"{registry.proxy_host}/{repo}", f"{registry.agent_host}/{repo}"
    run(oras, "push", "--plain-http", f"{proxy}:files", "notes.txt:text/plain", cwd=tmp_path)
    out = tmp_path / "out"
    run(oras, "pull", "--plain-http", f"{agent}:files", "-o", out)
    assert (out / "notes.txt").read_text() == "some notes"
    for kind in ("application/x-sbom", "application/x-scan+json"):
        run(oras, "attach", "--plain-http", "--artifact-type", kind, f"{proxy}:v1", "sbom.json", cwd=tmp_path)
    for host in (proxy, agent):
        found = json.loads(run(oras, "discover", "--plain-http", "--format", "json", f"{host}:v1").stdout)
        listed = found.get("referrers") or found.get("manifests")
        assert {entry["artifactType"] for entry in listed} == {"application/x-sbom", "application/x-scan+json"}
        found = json.loads(run(oras, "discover", "--plain-http", "--format", "json", "--artifact-type",
                               "application/x-scan+json", f"{host}:v1").stdout)
        assert len(found.get("referrers") or found.get("manifests")) == 1
        run(oras, "cp", "-r", "--from-plain-http", f"{host}:v1", "--to-oci-layout",
            f"{tmp_path}/copy{host.split(':')[1][:5]}:v1")
    run(oras, "manifest", "delete", "--plain-http", "-f", f"{proxy}@{digest}")
    assert registry.get(f"{repo}/manifests/{digest}", "HEAD")[0] == 404


def test_regctl_referrers_and_deletes(tmp_path, registry, image):
    regctl = programs.Regctl(tmp_path)
    repo, digest = image
    regctl.trust(registry.proxy_host)
    regctl.trust(registry.agent_host)
    (tmp_path / "sbom.json").write_text("{}")
    regctl.call("artifact", "put", "--artifact-type", "application/x-sbom", "--subject",
                f"{registry.proxy_host}/{repo}:v1", "-f", tmp_path / "sbom.json")
    for host in (registry.proxy_host, registry.agent_host):
        listed = regctl.call("artifact", "list", f"{host}/{repo}:v1", "--format", "{{json .}}").stdout
        assert "application/x-sbom" in listed
    regctl.call("image", "copy", "--referrers", f"{registry.proxy_host}/{repo}:v1",
                f"{registry.proxy_host}/{repo}-copy:v1")
    assert "application/x-sbom" in registry.get(f"{repo}-copy/referrers/{digest}")[2].decode()
    regctl.call("tag", "delete", f"{registry.proxy_host}/{repo}:v1")
    assert registry.tags(repo) == [digest.replace(":", "-")]  # the list of referrers
    assert registry.get(f"{repo}/manifests/{digest}", "HEAD")[0] == 200


@pytest.mark.parametrize("form", ["tag", "referrer"])
def test_cosign_signs_and_verifies(tmp_path, registry, image, form):
    """With a key of its own and no transparency log; the signature as a tag, and as a referrer."""
    cosign = tools.installed(tools.COSIGN)
    repo, digest = image
    environment = {**os.environ, "COSIGN_PASSWORD": "", "HOME": str(tmp_path)}
    if form == "referrer":
        environment["COSIGN_EXPERIMENTAL"] = "1"
    run(cosign, "generate-key-pair", cwd=tmp_path, env=environment)
    extra = ["--registry-referrers-mode=oci-1-1"] if form == "referrer" else []
    run(cosign, "sign", "-y", "--key", tmp_path / "cosign.key", "--use-signing-config=false", "--tlog-upload=false",
        "--new-bundle-format=false", "--allow-http-registry", *extra, f"{registry.proxy_host}/{repo}@{digest}",
        env=environment)
    if form == "tag":
        assert f"{digest.replace(':', '-')}.sig" in registry.tags(repo)
    extra = ["--experimental-oci11"] if form == "referrer" else []
    for host in (registry.proxy_host, registry.agent_host):
        run(cosign, "verify", "--key", tmp_path / "cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry",
            "--new-bundle-format=false", *extra, f"{host}/{repo}@{digest}", env=environment)


def test_helm_pushes_and_pulls_a_chart(tmp_path, registry):
    helm = tools.installed(tools.HELM, only_if_there=True)
    environment = {**os.environ, "HOME": str(tmp_path)}
    run(helm, "create", "demo", cwd=tmp_path, env=environment)
    run(helm, "package", "demo", cwd=tmp_path, env=environment)
    run(helm, "push", "--plain-http", "demo-0.1.0.tgz", f"oci://{registry.proxy_host}/charts", cwd=tmp_path,
        env=environment)
    for number, host in enumerate((registry.proxy_host, registry.agent_host)):
        out = tmp_path / f"out{number}"
        out.mkdir()
        run(helm, "pull", "--plain-http", f"oci://{host}/charts/demo", "--version", "0.1.0", "-d", out,
            env=environment)
        assert (out / "demo-0.1.0.tgz").read_bytes() == (tmp_path / "demo-0.1.0.tgz").read_bytes()
