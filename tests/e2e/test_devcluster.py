"""configs/devcluster/start.sh, with its own ports, in a network of its own."""

import os
import shutil
import subprocess
import sys

import pytest

import cluster

START = os.path.join(os.path.dirname(__file__), "..", "..", "configs", "devcluster", "start.sh")


def in_own_network(tmp_path, scenario):
    for flags in (["-n"], ["-rn"]):
        if subprocess.run(["unshare", *flags, "true"], capture_output=True, check=False).returncode == 0:
            break
    else:
        pytest.skip("no network namespaces here")
    return subprocess.run(["unshare", *flags, sys.executable, __file__, scenario, str(tmp_path)], timeout=60,
                          capture_output=True, text=True, check=False,
                          env={**os.environ, "KRAKEND": os.path.abspath(cluster.KRAKEND)})


@pytest.mark.skipif(shutil.which("ip") is None, reason="ip is not installed")
@pytest.mark.parametrize("scenario", ["push_and_pull", "one_dies"])
def test_the_script(tmp_path, scenario):
    done = in_own_network(tmp_path, scenario)
    assert done.returncode == 0, done.stdout + done.stderr


class Script:
    """The running script and what it says."""

    def __init__(self, folder):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.process = subprocess.Popen([START, folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in self.process.stdout:
            print(line, end="")
            if line.startswith("push to"):
                return
        raise AssertionError("it ended early")

    def end(self):
        rest = self.process.communicate(timeout=20)[0]
        return self.process.returncode, rest


def request(port, method, path, body=None):
    fake = cluster.Process.__new__(cluster.Process)
    fake.ports = {"it": ("127.0.0.1", port)}
    return fake.request("it", method, path, body)


class Proxy:
    def request(self, _port, method, path, body=None):
        return request(15000, method, path, body)


def push_and_pull(folder):
    script = Script(folder)
    data = os.urandom(5 << 20)
    digest = cluster.push_blob(Proxy(), data)
    for port in (16000, 17000):
        assert request(port, "GET", f"/v2/t/app/blobs/{digest}")[2] == data
    for port in (15002, 15003, 15004, 16002, 17002):
        assert request(port, "GET", "/health")[0] == 200
    script.process.terminate()
    status, _ = script.end()
    assert status == 0


def one_dies(folder):
    script = Script(folder)
    children = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(script.process.pid)], capture_output=True,
                              text=True, check=True).stdout.splitlines()
    victim = next(line.split()[0] for line in children if "17000" in line)
    os.kill(int(victim), 9)
    status, rest = script.end()
    assert status == 1 and "agent-two has ended" in rest and " ready" in rest, rest


if __name__ == "__main__":
    {"push_and_pull": push_and_pull, "one_dies": one_dies}[sys.argv[1]](sys.argv[2])
