"""What operators wait for: start, reload, and a storm of requests while a pull goes on."""

import http.client
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import rig

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import cluster  # noqa: E402
import crowd  # noqa: E402
from single_role import HOST, ROLES  # noqa: E402

LINES = 300  # of the YAML file
STORM_SECONDS = 60


def long_config(folder, role, level="info"):
    """A file of LINES lines: what --print-config says, and comments as people write them."""
    printed = subprocess.run([cluster.KRAKEND, f"--role={role}", "--print-config", *ROLES[role][1],
                              f"--data-dir={folder}/start-{role}"], capture_output=True, text=True, check=True).stdout
    lines = [line for line in printed.splitlines() if not line.lstrip().startswith("level: ")]
    lines = [line + f"\n  level: {level}" if line == "zap:" else line for line in lines]
    lines += [f"# line {number}" for number in range(LINES - len(lines) - 1)]
    path = pathlib.Path(folder) / f"long-{role}.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def start_one(folder, role, config):
    return cluster.Process(role, pathlib.Path(folder) / f"start-{role}", f"--config={config}",
                           f"--listen-address={HOST}", *ROLES[role][1])


def start(bench):
    """From exec to "ready", each role with a YAML file of 300 lines."""
    for role in ROLES:
        config = long_config(bench.folder, role)
        times = []
        for _ in range(bench.args.runs):
            began = time.monotonic()
            process = start_one(bench.folder, role, config)
            times.append(1000 * (time.monotonic() - began))
            process.stop()
        bench.line(f"{role}, ms", rig.spread(times), "≤ 50")


class Askers:
    """Clients that ask for health over kept connections, and count what is not answered."""

    def __init__(self, address, count=8):
        self.over = threading.Event()
        self.answered = self.failed = 0
        self.address = address
        self.threads = [threading.Thread(target=self.ask) for _ in range(count)]

    def ask(self):
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        while not self.over.is_set():
            try:
                connection.request("GET", "/health")
                good = connection.getresponse().read().startswith(b"OK")
            except (OSError, http.client.HTTPException):
                good = False
            self.answered += good
            self.failed += not good
        connection.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def reload(bench):
    """POST /x/reload of a YAML file of 300 lines, with 8 clients asking all the time."""
    for role, (port, _) in ROLES.items():
        process = start_one(bench.folder, role, long_config(bench.folder, role))
        times = []
        with Askers(process.ports[port]) as askers:
            for run in range(2 * bench.args.runs):
                long_config(bench.folder, role, "debug" if run % 2 == 0 else "info")
                began = time.monotonic()
                status, _, body = process.request(port, "POST", "/x/reload")
                times.append(1000 * (time.monotonic() - began))
                if status != 200 or len(json.loads(body)["changed"]) != 1:
                    sys.exit(f"bench: {role} did not reload: {body}")
        process.stop()
        bench.line(f"{role}, ms", rig.spread(times), "≤ 50")
        bench.line(f"{role}, requests dropped of {askers.answered + askers.failed}", str(askers.failed), "0")


def storm(bench):
    """Requests over 64 connections, each without waiting for answers, for 60 s while a pull goes on."""
    address = bench.herd.ports["proxy registry"]
    small = cluster.push_blob(bench.herd, os.urandom(1024), "bench/small")
    rate = 8 * rig.MIB
    before = crowd.memory_mib(bench.herd)
    alone = one_by_one(bench, f"/v2/bench/small/blobs/{small}")
    with crowd.PacedPull(address, f"/v2/bench/blob/blobs/{bench.digest}", rate) as pull:
        time.sleep(2)  # it has found its speed
        request = f"GET /v2/bench/small/blobs/{small} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        with crowd.Storm(address, request) as flood:
            had, began, peak, slowest = pull.received, time.monotonic(), 0.0, 0.0
            while time.monotonic() - began < STORM_SECONDS and pull.thread.is_alive():
                asked = time.monotonic()
                bench.herd.request("proxy registry", "GET", "/health")
                slowest = max(slowest, time.monotonic() - asked)
                peak = max(peak, crowd.memory_mib(bench.herd))
            seconds = time.monotonic() - began
            speed = (pull.received - had) / seconds / rate
    time.sleep(10)  # as the target says
    bench.line("requests/s that one client gets, alone", f"{alone:.0f}")
    bench.line("answers/s in the storm", f"{sum(flood.answers.values()) / seconds:.0f}")
    bench.line("503 in the storm", str(flood.answers.get(b'503', 0)))
    bench.line(f"speed of a pull at {rate // rig.MIB} MiB/s, part of it", f"{speed:.2f}", "≥ 0.5")
    bench.line("slowest answer of /health, ms", f"{1000 * slowest:.0f}")
    bench.line("peak memory, MiB", f"{peak:.0f}")
    bench.line("memory before, and 10 s after, MiB", f"{before:.0f}, {crowd.memory_mib(bench.herd):.0f}", "the same")


def one_by_one(bench, path):
    connection = http.client.HTTPConnection(*bench.herd.ports["proxy registry"], timeout=10)
    began, count = time.monotonic(), 0
    while time.monotonic() - began < 2:
        connection.request("GET", path)
        connection.getresponse().read()
        count += 1
    connection.close()
    return count / (time.monotonic() - began)
