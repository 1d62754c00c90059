"""krakend processes for the tests: each on loopback addresses of its own, with its own data directory."""

import hashlib
import http.client
import json
import os
import re
import select
import signal
import subprocess
import time

KRAKEND = os.environ.get("KRAKEND", "build/release/krakend")
START_LIMIT = 20  # seconds


class Process:
    """One krakend process. `ports` maps "role name" to (host, port), read from its log."""

    def __init__(self, role, data_dir, *flags):
        self.data_dir = str(data_dir)
        self.command = [KRAKEND, f"--role={role}", "--data-dir", self.data_dir, *flags]
        self.log = []
        self.ports = {}
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        os.set_blocking(self.process.stderr.fileno(), False)
        self.pending = b""
        self.wait_for(r" ready$", START_LIMIT)
        for line in self.log:
            found = re.search(r"listener (\S+) (\S+) (\S+):(\d+)$", line)
            if found:
                self.ports[f"{found[1]} {found[2]}"] = (found[3], int(found[4]))

    def wait_for(self, pattern, limit=30, count=1):
        """Reads the log until `count` lines match; returns them."""
        deadline = time.monotonic() + limit
        while True:
            hits = [line for line in self.log if re.search(pattern, line)]
            if len(hits) >= count:
                return hits
            left = deadline - time.monotonic()
            assert left > 0, f"no {pattern!r} in the log of {self.command}:\n" + "\n".join(self.log[-40:])
            select.select([self.process.stderr], [], [], left)
            data = self.process.stderr.read()
            if data == b"":
                raise AssertionError("process ended:\n" + "\n".join(self.log[-40:]))
            lines = (self.pending + (data or b"")).split(b"\n")
            self.pending = lines.pop()
            self.log += [line.decode(errors="replace") for line in lines]

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("no clean stop within 20 s")
        return self.process.returncode

    def request(self, port, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection(*self.ports[port], timeout=timeout)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        answer = (response.status, dict(response.getheaders()), response.read())
        connection.close()
        return answer

    def torrents(self, port="agent server"):
        return json.loads(self.request(port, "GET", "/x/torrents")[2])["torrents"]


def herd(tmp_path):
    return Process("herd", tmp_path / "herd", "--proxy-port=0", "--peer-port=0", "--blobserver-port=0",
                   "--tracker-port=0", "--build-index-port=0")


def agent(tmp_path, herd_process, index):
    host, tracker = herd_process.ports["tracker api"]
    build_index = herd_process.ports["build-index api"][1]
    address = f"127.0.0.{index + 1}"
    return Process("agent", tmp_path / f"agent{index}", f"--listen-address={address}", f"--peer-ip={address}",
                   "--peer-port=0", "--agent-registry-port=0", "--agent-server-port=0",
                   f"--tracker={host}:{tracker}", f"--build-index={host}:{build_index}")


def push_blob(herd_process, data, repo="t/app"):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    status, headers, _ = herd_process.request("proxy registry", "POST", f"/v2/{repo}/blobs/uploads/")
    assert status == 202
    location = headers["Location"]
    joint = "&" if "?" in location else "?"
    status, _, body = herd_process.request("proxy registry", "PUT", f"{location}{joint}digest={digest}", data)
    assert status == 201, body
    return digest
