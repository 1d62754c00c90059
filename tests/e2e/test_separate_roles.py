"""Every role as a process of its own, found by host and port."""

import os

import pytest

import cluster
from images import MIB
from test_limits_of_the_host import await_until
from test_main_job import get_blob

HOST = "127.0.0.1"


class Site:
    """One process a role."""

    def __init__(self, folder):
        def start(role, *flags):
            return cluster.Process(role, folder / role, f"--listen-address={HOST}", *flags)

        def at(process, port):
            return "%s:%d" % process.ports[port]

        self.origin = start("origin", f"--peer-ip={HOST}", "--peer-port=0", "--blobserver-port=0")
        origin = f"--origin={at(self.origin, 'origin blobserver')}"
        self.tracker = start("tracker", "--port=0", origin)
        self.build_index = start("build-index", "--port=0", origin)
        tags = f"--build-index={at(self.build_index, 'build-index api')}"
        self.proxy = start("proxy", "--port=0", origin, tags)
        self.agent = start("agent", f"--peer-ip={HOST}", "--peer-port=0", "--agent-registry-port=0",
                           "--agent-server-port=0", f"--tracker={at(self.tracker, 'tracker api')}", tags)

    def restart_origin(self):
        self.origin.keep_ports(peer="origin peer", blobserver="origin blobserver")
        self.origin.start()

    def close(self):
        for process in (self.agent, self.proxy, self.build_index, self.tracker, self.origin):
            process.stop()


@pytest.fixture
def site(tmp_path):
    started = Site(tmp_path)
    yield started
    started.close()


def test_five_processes_push_and_pull(site):
    data = os.urandom(9 * MIB)
    digest = cluster.push_blob(site.proxy, data)
    assert get_blob(site.agent, digest)[2] == data
    assert site.agent.wait_for("download complete")


def test_origin_killed_between_commit_and_pull(site):
    data = os.urandom(9 * MIB)
    digest = cluster.push_blob(site.proxy, data)
    site.origin.kill()
    site.restart_origin()
    assert get_blob(site.agent, digest)[2] == data


def test_an_origin_that_is_down_is_said_to_the_client(site):
    site.origin.kill()
    status, headers, body = get_blob(site.agent, "sha256:" + "ab" * 32)
    assert status == 500 and headers["Content-Type"] == "application/json", body
    site.restart_origin()
    # The tracker remembers a failure for locations_error_ttl (1 s).
    await_until(lambda: get_blob(site.agent, "sha256:" + "ab" * 32)[0] == 404)
