"""A 1 GiB blob to four agents at once: right bytes, most of them from peers, little memory."""

import hashlib
import os
import re
import subprocess

import cluster
from test_main_job import MIB, agents, herd  # noqa: F401 (fixtures)

SIZE = 1024 * MIB
MEMORY_LIMIT_KIB = 64 * 1024  # of an agent, and of the herd that holds the origin


def write_random(path, size):
    """A file of random bytes; its digest."""
    sha = hashlib.sha256()
    with open(path, "wb") as file:
        for _ in range(size // (4 * MIB)):
            part = os.urandom(4 * MIB)
            sha.update(part)
            file.write(part)
    return "sha256:" + sha.hexdigest()


def push_file(herd_process, path, digest, repo="t/app"):
    host, port = herd_process.ports["proxy registry"]
    _, headers, _ = herd_process.request("proxy registry", "POST", f"/v2/{repo}/blobs/uploads/")
    url = f"http://{host}:{port}{headers['Location']}&digest={digest}"
    subprocess.run(["curl", "-sf", "-T", path, "-H", "Expect:", url], check=True, timeout=120)


def peak_memory_kib(process):
    with open(f"/proc/{process.process.pid}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1])


def test_one_gib_to_four_agents_at_once(tmp_path, herd, agents):  # noqa: F811
    digest = write_random(tmp_path / "blob", SIZE)
    push_file(herd, tmp_path / "blob", digest)
    (tmp_path / "blob").unlink()
    pullers = [agents(index) for index in range(1, 5)]
    clients = []
    for agent in pullers:
        host, port = agent.ports["agent registry"]
        clients.append(subprocess.Popen(
            f"curl -sf http://{host}:{port}/v2/t/app/blobs/{digest} | sha256sum", shell=True, text=True,
            stdout=subprocess.PIPE))
    for client in clients:
        output, _ = client.communicate(timeout=240)
        assert output.split()[0] == digest[7:]
    from_peers = 0
    for agent in pullers:
        line = agent.wait_for("download complete", limit=60)[0]
        fields = cluster.fields_of(line)
        assert int(fields["from_origins"]) + int(fields["from_peers"]) == SIZE, line
        from_peers += int(fields["from_peers"])
        assert peak_memory_kib(agent) <= MEMORY_LIMIT_KIB
    assert from_peers > 4 * SIZE * 0.4
    assert peak_memory_kib(herd) <= MEMORY_LIMIT_KIB
