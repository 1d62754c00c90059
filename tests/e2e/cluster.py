"""krakend processes for the tests: each on loopback addresses of its own, with its own data directory."""

import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
import threading

KRAKEND = os.environ.get("KRAKEND", "build/release/krakend")
START_LIMIT = 20  # seconds
STOP_LIMIT = 20


class Process:
    """One krakend process. `ports` maps "role name" to (host, port), read from its log."""

    def __init__(self, role, data_dir, *flags, prefix=()):
        """`prefix`: a program that runs it in its place, with arguments."""
        self.data_dir = str(data_dir)
        self.command = [*prefix, KRAKEND, f"--role={role}", "--data-dir", self.data_dir, *flags]
        self.ports = {}
        self.start()

    def start(self):
        self.log = []  # of this run: `ready` of an earlier one says nothing about this one
        self.changed = threading.Condition()
        self.log_ended = False
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.ended = False
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()
        self.wait_for(r" ready$", START_LIMIT)
        for line in self.log:
            found = re.search(r"listener (\S+) (\S+) (\S+):(\d+)$", line)
            if found:
                self.ports[f"{found[1]} {found[2]}"] = (found[3], int(found[4]))

    def read_log(self):
        """A thread of its own: a pipe that nobody reads would stop the process."""
        with self.process.stderr as pipe:
            for line in pipe:
                with self.changed:
                    self.log.append(line.rstrip(b"\n").decode(errors="replace"))
                    self.changed.notify_all()
        with self.changed:
            self.log_ended = True
            self.changed.notify_all()

    def keep_ports(self, **listeners):
        """The next start() takes the ports of this run again: keep_ports(peer="origin peer")."""
        for flag, listener in listeners.items():
            free = f"--{flag.replace('_', '-')}-port=0"
            self.command[self.command.index(free)] = free[:-1] + str(self.ports[listener][1])

    def wait_for(self, pattern, limit=30, count=1):
        """Waits until `count` lines of the log match; returns them."""
        def hits():
            return [line for line in self.log if re.search(pattern, line)]
        with self.changed:
            self.changed.wait_for(lambda: self.log_ended or len(hits()) >= count, limit)
            found = hits()
            ended = "the process ended" if self.log_ended else "in time"
            assert len(found) >= count, f"no {pattern!r} of {self.command}, {ended}:\n" + "\n".join(self.log[-40:])
            return found

    def kill(self):
        self.ended = True
        self.process.kill()
        self.process.wait()
        self.reader.join()

    def stop(self):
        """Ends it politely; a process that fell or complains at its end fails the test."""
        if self.ended:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"no clean stop within {STOP_LIMIT} s") from None
        self.reader.join()
        self.ended = True
        assert status == 0, "\n".join(self.log[-40:])

    def request(self, port, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection(*self.ports[port], timeout=timeout)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        answer = (response.status, dict(response.getheaders()), response.read())
        connection.close()
        return answer

    def torrents(self, port="agent server"):
        return json.loads(self.request(port, "GET", "/x/torrents")[2])["torrents"]


def herd(tmp_path, *flags):
    return Process("herd", tmp_path / "herd", "--proxy-port=0", "--peer-port=0", "--blobserver-port=0",
                   "--tracker-port=0", "--build-index-port=0", *flags)


def agent(tmp_path, herd_process, index):
    host, tracker = herd_process.ports["tracker api"]
    build_index = herd_process.ports["build-index api"][1]
    address = f"127.0.0.{index + 1}"
    return Process("agent", tmp_path / f"agent{index}", f"--listen-address={address}", f"--peer-ip={address}",
                   "--peer-port=0", "--agent-registry-port=0", "--agent-server-port=0",
                   f"--tracker={host}:{tracker}", f"--build-index={host}:{build_index}")


def fields_of(line):
    """The "key=value" words of a log line."""
    return dict(part.split("=", 1) for part in line.split() if "=" in part)


def push_blob(herd_process, data, repo="t/app"):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    status, headers, _ = herd_process.request("proxy registry", "POST", f"/v2/{repo}/blobs/uploads/")
    assert status == 202
    location = headers["Location"]
    joint = "&" if "?" in location else "?"
    status, _, body = herd_process.request("proxy registry", "PUT", f"{location}{joint}digest={digest}", data)
    assert status == 201, body
    return digest
