"""Files that change on the disk behind krakend's back: noticed, never served, got anew."""

import os

import pytest

import cluster
from test_main_job import MIB, agents, get_blob, herd  # noqa: F401 (fixtures)


def cache_file(process, digest, name="data"):
    return os.path.join(process.data_dir, "cache", digest[7:9], digest[9:11], digest[7:], name)


def flip(path, offset):
    """Turns one bit over. The file may be linked elsewhere: it is copied first."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    data[offset] ^= 4
    os.remove(path)
    with open(path, "wb") as file:
        file.write(data)


def restart(process, damage):
    process.stop()
    damage()
    process.start()


def written_back(herd_process, digest):
    herd_process.wait_for(f"{digest} written back")


@pytest.mark.parametrize("what", ["bit", "end", "metainfo", "metainfo and bit"])
def test_a_damaged_blob_at_the_origin(herd, agents, what):  # noqa: F811
    herd.keep_ports(proxy="proxy registry", peer="origin peer", blobserver="origin blobserver", tracker="tracker api",
                    build_index="build-index api")
    data = os.urandom(9 * MIB)
    digest = cluster.push_blob(herd, data)
    written_back(herd, digest)

    def damage():
        if "metainfo" in what:
            with open(cache_file(herd, digest, "_torrentmeta"), "w") as file:
                file.write('{"Info":{"PieceLe')
        if "bit" in what:
            flip(cache_file(herd, digest), 5 * MIB)
        if what == "end":
            os.truncate(os_copy(cache_file(herd, digest)), 6 * MIB)

    restart(herd, damage)
    assert get_blob(agents(1), digest)[2] == data
    if what != "metainfo":
        herd.wait_for("blob .* is damaged on disk .*: removed, to be fetched anew")
    status, _, body = herd.request("proxy registry", "GET", f"/v2/t/app/blobs/{digest}")
    assert (status, body) == (200, data)


def os_copy(path):
    """The same bytes in a file of its own."""
    with open(path, "rb") as file:
        data = file.read()
    os.remove(path)
    with open(path, "wb") as file:
        file.write(data)
    return path


def test_a_damaged_blob_at_an_agent(herd, agents):  # noqa: F811
    data = os.urandom(9 * MIB)
    digest = cluster.push_blob(herd, data)
    agent = agents(1)
    assert get_blob(agent, digest)[2] == data
    agent.wait_for("download complete")
    restart(agent, lambda: flip(cache_file(agent, digest), 8 * MIB))
    try:
        body = get_blob(agent, digest)[2]
        assert body == data
    except Exception as cut:  # the answer had begun when the damage was found
        assert "IncompleteRead" in repr(cut) or "Reset" in repr(cut), cut
    agent.wait_for("is damaged on disk")
    assert get_blob(agent, digest)[2] == data
