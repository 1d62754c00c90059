"""krakend's registry beside docker-registry: small requests, pushes, idle connections."""

import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

import rig

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import images  # noqa: E402

REPO = "bench/image"
MANIFEST_SIZE = 2000
SECONDS = 2  # of each measurement of a request rate
CONNECTIONS = 64
IDLE = 500


class DockerRegistry:
    def __init__(self, folder):
        self.address = ("127.0.0.1", 18081)
        config = os.path.join(folder, "docker-registry.yml")
        with open(config, "w") as file:
            file.write(f"""version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/docker-registry}}
  cache: {{blobdescriptor: inmemory}}
http: {{addr: "127.0.0.1:18081"}}
""")
        self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        limit = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(self.address, 1).close()
                break
            except OSError:
                if time.monotonic() > limit:
                    sys.exit("bench: docker-registry did not start")
                time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Herd:
    def __init__(self, process):
        self.address = process.ports["proxy registry"]
        self.pid = process.process.pid


def call(address, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection(*address, timeout=60)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer, content


def push_manifest(address):
    config = b"{}"
    digest = "sha256:" + hashlib.sha256(config).hexdigest()
    location = call(address, "POST", f"/v2/{REPO}/blobs/uploads/")[1].getheader("Location")
    location = re.sub(r"^https?://[^/]*", "", location)
    joint = "&" if "?" in location else "?"
    call(address, "PUT", f"{location}{joint}digest={digest}", config)
    manifest = {"schemaVersion": 2, "mediaType": images.OCI + "manifest.v1+json", "layers": [],
                "config": {"mediaType": images.OCI + "config.v1+json", "size": 2, "digest": digest}}
    manifest["annotations"] = {"pad": "x" * (MANIFEST_SIZE - len(json.dumps(manifest)) - 30)}
    status, _, body = call(address, "PUT", f"/v2/{REPO}/manifests/v1", json.dumps(manifest),
                           {"Content-Type": manifest["mediaType"]})
    if status != 201:
        sys.exit(f"bench: manifest to {address}: {body}")


def rate(address, method, path, keep_alive, connections=CONNECTIONS):
    """Requests a second, by wrk; by hey for HEAD, whose answers wrk cannot read."""
    url = "http://{}:{}{}".format(*address, path)
    if method == "HEAD":
        command = ["hey", "-z", f"{SECONDS}s", "-c", str(connections), "-m", "HEAD", "-H",
                   f"Accept: {images.OCI}manifest.v1+json", *([] if keep_alive else ["-disable-keepalive"]), url]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        if "[200]" not in done.stdout or "Error distribution" in done.stdout:
            sys.exit(f"bench: {method} {path} of {address}: {done.stdout}")
        return float(re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)[1])
    script = f'wrk.method = "{method}"\nwrk.headers["Accept"] = "{images.OCI}manifest.v1+json"\n'
    if not keep_alive:
        script += 'wrk.headers["Connection"] = "close"\n'
    lua = os.path.join("/dev/shm", f"krakend-bench-{os.getpid()}.lua")
    with open(lua, "w") as file:
        file.write(script)
    done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", lua, url], capture_output=True, text=True, check=True)
    os.remove(lua)
    if "Non-2xx" in done.stdout:
        sys.exit(f"bench: {method} {path} of {address}: {done.stdout}")
    return float(re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)[1])


def small_requests(bench):
    """GET /v2/, HEAD and GET of a 2 KB manifest: krakend's proxy and docker-registry in turns, requests a second."""
    ours, theirs = Herd(bench.herd), DockerRegistry(bench.folder)
    cases = [("GET /v2/", "GET", "/v2/"), ("HEAD manifest", "HEAD", f"/v2/{REPO}/manifests/v1"),
             ("GET manifest", "GET", f"/v2/{REPO}/manifests/v1")]
    for server in (ours, theirs):
        push_manifest(server.address)
        rig.reset_peak(server.pid)
    try:
        for name, method, path in cases:
            for keep_alive in (True, False):
                ratios, rates = [], []
                for _ in range(bench.args.runs):
                    rates.append(rate(ours.address, method, path, keep_alive))
                    ratios.append(rates[-1] / rate(theirs.address, method, path, keep_alive))
                how = f"{CONNECTIONS} kept connections" if keep_alive else "one connection a request"
                bench.line(f"{name}, {how}: rate / docker-registry", rig.spread(ratios), "≥ 1")
                bench.line(f"{name}, {how}: requests a second", rig.spread(rates, "{:.0f}"))
        bench.line("peak memory, MiB: krakend (herd), docker-registry",
                   ", ".join(f"{rig.memory_mib(server.pid, 'VmHWM'):.1f}" for server in (ours, theirs)))
    finally:
        theirs.stop()


def push(bench):
    """skopeo pushes an image with one large layer: krakend's proxy and docker-registry in turns."""
    ours, theirs = Herd(bench.herd), DockerRegistry(bench.folder)
    times, cpu, walls, peaks = [], [], [], []
    try:
        for run in range(bench.args.runs):
            layout = bench.folder / f"push{run}"
            layer = os.path.join(bench.folder, "layer")
            rig.random_file(layer, bench.args.size * rig.MIB)
            write_large_layout(layout, layer)
            wall, used, peak = {}, {}, {}
            for server in (theirs, ours):
                rig.touch_memory(bench.folder, 2 * bench.args.size * rig.MIB)
                with rig.Usage(server.pid) as usage:
                    subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", "--preserve-digests",
                                    "--dest-tls-verify=false", f"oci:{layout}:v1",
                                    "docker://{}:{}/bench/push{}:v1".format(*server.address, run)], check=True)
                wall[server], used[server], peak[server] = usage.wall, usage.cpu, usage.peaks[0]
            walls.append(wall[ours])
            times.append(wall[ours] / wall[theirs])
            cpu.append(used[ours] / used[theirs])
            peaks.append((peak[ours], peak[theirs]))
            shutil.rmtree(layout)
    finally:
        theirs.stop()
    bench.line("seconds", rig.spread(walls))
    bench.line("time / docker-registry", rig.spread(times), "≤ 1")
    bench.line("CPU of the server / docker-registry", rig.spread(cpu))
    bench.line("peak memory, MiB: krakend (herd), docker-registry",
               ", ".join(f"{max(values):.1f}" for values in zip(*peaks)))


def write_large_layout(path, layer):
    """A layer as it is: nothing has to compress or unpack it."""
    layout = images.Layout(pathlib.Path(path))
    ref = layout.take_file(layer)
    layout.tag(layout.put_manifest([ref], [ref["digest"]]), "v1")


def idle_connections(bench):
    """The request rate with 500 idle keep-alive connections beside it, and without them."""
    ours = Herd(bench.herd)
    ratios, memory, threads = [], [], []
    for _ in range(bench.args.runs):
        alone, before = rate(ours.address, "GET", "/v2/", True), rig.memory_mib(ours.pid, "VmRSS")
        threads_before = len(os.listdir(f"/proc/{ours.pid}/task"))
        idle = [http.client.HTTPConnection(*ours.address, timeout=60) for _ in range(IDLE)]
        for connection in idle:
            connection.request("GET", "/v2/")
            connection.getresponse().read()
        threads.append(len(os.listdir(f"/proc/{ours.pid}/task")) - threads_before)
        memory.append(1024 * (rig.memory_mib(ours.pid, "VmRSS") - before) / IDLE)
        ratios.append(rate(ours.address, "GET", "/v2/", True) / alone)
        for connection in idle:
            connection.close()
    bench.line(f"rate with {IDLE} idle connections / without", rig.spread(ratios), "≈ 1")
    bench.line(f"threads that {IDLE} connections add", rig.spread(threads, "{:.0f}"), "0")
    bench.line("KiB that an idle connection adds", rig.spread(memory, "{:.1f}"))
