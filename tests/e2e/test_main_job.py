import hashlib
import json
import os
import socket
import subprocess

import pytest

import cluster
from images import MIB, write_layout


@pytest.fixture
def herd(tmp_path):
    process = cluster.herd(tmp_path)
    yield process
    process.stop()


@pytest.fixture
def agents(tmp_path, herd):
    started = []

    def start(index):
        started.append(cluster.agent(tmp_path, herd, index))
        return started[-1]

    yield start
    for process in started:
        process.stop()


def get_blob(agent, digest):
    return agent.request("agent registry", "GET", f"/v2/t/app/blobs/{digest}")


def skopeo(*arguments):
    subprocess.run(["skopeo", "copy", "--insecure-policy", *arguments], check=True, timeout=120,
                   stdout=subprocess.DEVNULL)


def reference(process, port):
    host, number = process.ports[port]
    return f"docker://{host}:{number}/t/app:v1"


def test_skopeo_pushes_and_pulls_through_peers(tmp_path, herd, agents):
    write_layout(tmp_path / "image")
    skopeo("--dest-tls-verify=false", f"oci:{tmp_path}/image:v1", reference(herd, "proxy registry"))
    first, second = agents(1), agents(2)
    skopeo("--src-tls-verify=false", reference(first, "agent registry"), f"dir:{tmp_path}/out1")
    skopeo("--src-tls-verify=false", reference(second, "agent registry"), f"dir:{tmp_path}/out2")
    names = sorted(os.listdir(tmp_path / "out1"))
    assert names == sorted(os.listdir(tmp_path / "out2")) and len(names) == 4
    for name in names:
        data = (tmp_path / "out1" / name).read_bytes()
        assert data == (tmp_path / "out2" / name).read_bytes()
        if len(name) == 64:
            assert hashlib.sha256(data).hexdigest() == name
    assert sum(t["bytes_from_peers"] for t in second.torrents()) > 0


def test_blob_to_four_agents_at_once(herd, agents):
    data = os.urandom(64 * MIB)
    digest = cluster.push_blob(herd, data)
    pullers = [agents(index) for index in range(1, 5)]
    running = []
    for agent in pullers:
        host, port = agent.ports["agent registry"]
        running.append(subprocess.Popen(["curl", "-sf", f"http://{host}:{port}/v2/t/app/blobs/{digest}"],
                                        stdout=subprocess.PIPE))
    for process in running:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0 and hashlib.sha256(output).hexdigest() == digest[7:]


def test_head_does_not_download(herd, agents):
    digest = cluster.push_blob(herd, os.urandom(MIB))
    agent = agents(1)
    status, headers, _ = agent.request("agent registry", "HEAD", f"/v2/t/app/blobs/{digest}")
    assert status == 200 and headers["Content-Length"] == str(MIB)
    assert agent.torrents() == []


def test_range_and_source_header(herd, agents):
    data = os.urandom(9 * MIB)
    digest = cluster.push_blob(herd, data)
    agent = agents(1)
    status, headers, body = agent.request("agent registry", "GET", f"/v2/t/app/blobs/{digest}",
                                          headers={"Range": "bytes=5000000-5000099"})
    assert (status, body) == (206, data[5000000:5000100])
    assert headers["X-Krakend-Source"] == "swarm"
    agent.wait_for(r"download complete .*" + digest)
    assert get_blob(agent, digest)[1]["X-Krakend-Source"] == "disk"


def test_killed_origin_serves_what_it_acknowledged(herd, agents):
    data = os.urandom(10 * MIB)
    digest = cluster.push_blob(herd, data)
    herd.kill()
    herd.keep_ports(proxy="proxy registry", peer="origin peer", blobserver="origin blobserver", tracker="tracker api",
                    build_index="build-index api")
    herd.start()
    assert get_blob(agents(1), digest)[2] == data


def test_lost_cache_comes_back_from_the_backend(tmp_path, herd, agents):
    import shutil
    data = os.urandom(3 * MIB)
    digest = cluster.push_blob(herd, data)
    herd.wait_for(f"{digest[7:]} written back")
    for cache in (tmp_path / "herd").rglob(digest[7:]):
        if "backend" not in str(cache) and cache.is_dir():
            shutil.rmtree(cache)
    assert get_blob(agents(1), digest)[2] == data


def test_agent_restart_keeps_the_blob_and_seeds_it(herd, agents):
    data = os.urandom(6 * MIB)
    digest = cluster.push_blob(herd, data)
    agent = agents(1)
    assert get_blob(agent, digest)[2] == data
    agent.wait_for(r"download complete")
    agent.stop()
    agent.start()
    status, headers, body = get_blob(agent, digest)
    assert (status, headers["X-Krakend-Source"], body) == (200, "disk", data)


def test_wrong_digest_is_refused_and_nothing_kept(tmp_path, herd):
    status, headers, _ = herd.request("proxy registry", "POST", "/v2/t/app/blobs/uploads/")
    wrong = "sha256:" + "0" * 64
    status, _, body = herd.request("proxy registry", "PUT", f"{headers['Location']}&digest={wrong}", b"hello")
    assert status == 400 and json.loads(body)["errors"][0]["code"] == "DIGEST_INVALID"
    assert herd.request("proxy registry", "HEAD", f"/v2/t/app/blobs/{wrong}")[0] == 404
    assert not list((tmp_path / "herd").rglob("0" * 64))


def test_unknown_blob_is_404(herd, agents):
    status, _, body = get_blob(agents(1), "sha256:" + "ab" * 32)
    assert status == 404 and json.loads(body)["errors"][0]["code"] == "BLOB_UNKNOWN"


def test_garbage_on_every_port(herd, agents):
    agent = agents(1)
    for process in (herd, agent):
        for address in process.ports.values():
            for garbage in (b"\x16\x03\x01\x02\x00", b"\xff" * 70000, b"GET / HTTP/1.1\r\nA: ", b"\x00\x00\x80\x01"):
                with socket.create_connection(address, timeout=5) as link:
                    try:
                        link.sendall(garbage)
                        link.shutdown(socket.SHUT_WR)
                        link.recv(4096)
                    except OSError:
                        pass
    data = os.urandom(MIB)
    assert get_blob(agent, cluster.push_blob(herd, data))[2] == data


def test_delete_right_behind_the_last_byte(herd, agents):
    """The client has all bytes before the blob is durable; a removal waits for that."""
    agent = agents(1)
    for _ in range(60):
        digest = cluster.push_blob(herd, os.urandom(MIB))
        assert get_blob(agent, digest)[0] == 200
        assert agent.request("agent server", "DELETE", f"/blobs/{digest}")[0] == 200
    assert [line for line in agent.log if " ERROR " in line] == []
    assert agent.torrents() == []


CONFIGS = os.path.join(os.path.dirname(__file__), "..", "..", "configs")


@pytest.mark.parametrize("role", ["agent", "origin", "tracker", "build-index", "proxy"])
def test_shipped_configuration_loads(role):
    done = subprocess.run([cluster.KRAKEND, f"--role={role}", f"--config={CONFIGS}/{role}.yaml", "--print-config"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
