#!/usr/bin/env python3
"""The main job on real input: one herd and three agents on loopback, a real image pushed and pulled with skopeo.

usage: demo.py --krakend BINARY [--keep] [--size MIB]
"""
import argparse
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request

MIB = 1024 * 1024
AGENTS = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
OCI = "application/vnd.oci.image."


def say(text):
    print(text, flush=True)


class Node:
    """A krakend process; `ports` maps "role listener" to host:port as its log tells."""

    def __init__(self, binary, name, folder, *flags):
        self.log_path = os.path.join(folder, name + ".log")
        self.log = open(self.log_path, "w")
        self.process = subprocess.Popen([binary, "--data-dir", os.path.join(folder, name), *flags], stderr=self.log)
        self.ports = {}
        deadline = time.monotonic() + 20
        while True:
            text = open(self.log_path).read()
            if re.search(r" ready$", text, re.M):
                break
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"demo: {name} did not start:\n{text}")
            time.sleep(0.02)
        for role, listener, address in re.findall(r"listener (\S+) (\S+) (\S+:\d+)$", text, re.M):
            self.ports[f"{role} {listener}"] = address

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()


class Layout:
    """An OCI image layout: a root file system with busybox, and two layers of random bytes."""

    def __init__(self, folder, size):
        self.folder = folder
        self.blobs = os.path.join(folder, "blobs", "sha256")
        os.makedirs(self.blobs)
        layers = [self.layer("bin/busybox", open(shutil.which("busybox"), "rb").read(), 0o755)]
        layers += [self.layer(f"random{i}", os.urandom(size * MIB // 2), 0o644) for i in range(2)]
        config = self.put(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/busybox", "sh"]},
                                      "rootfs": {"type": "layers", "diff_ids": [l["digest"] for l in layers]}}).encode())
        manifest = self.put(json.dumps({
            "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
            "config": {"mediaType": OCI + "config.v1+json", **config},
            "layers": [{"mediaType": OCI + "layer.v1.tar", **layer} for layer in layers]}).encode())
        index = {"schemaVersion": 2, "manifests": [{"mediaType": OCI + "manifest.v1+json", **manifest,
                                                    "annotations": {"org.opencontainers.image.ref.name": "v1"}}]}
        self.write("index.json", json.dumps(index))
        self.write("oci-layout", '{"imageLayoutVersion":"1.0.0"}')

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(text)

    def put(self, data):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(self.blobs, digest), "wb") as file:
            file.write(data)
        return {"digest": "sha256:" + digest, "size": len(data)}

    def layer(self, name, data, mode):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            tar.addfile(info, io.BytesIO(data))
        return self.put(buffer.getvalue())


def skopeo(*arguments):
    return subprocess.Popen(["skopeo", "copy", "--quiet", "--insecure-policy", *arguments])


def pull(address, target):
    return skopeo("--src-tls-verify=false", f"docker://{address}/demo/app:v1", f"dir:{target}")


def check(process, what):
    if process.wait() != 0:
        sys.exit(f"demo: {what} failed")


def digests(folder):
    """Files of a pulled image by name; blobs are verified against their names."""
    found = {}
    for name in sorted(os.listdir(folder)):
        data = open(os.path.join(folder, name), "rb").read()
        found[name] = hashlib.sha256(data).hexdigest()
        if re.fullmatch("[0-9a-f]{64}", name) and found[name] != name:
            sys.exit(f"demo: {folder}/{name} has digest {found[name]}")
    return found


def row(name, node, seconds):
    with urllib.request.urlopen(f"http://{node.ports['agent server']}/x/torrents") as answer:
        torrents = json.load(answer)["torrents"]
    origins = sum(t["bytes_from_origins"] for t in torrents)
    peers = sum(t["bytes_from_peers"] for t in torrents)
    total = max(origins + peers, 1)
    say(f"{name:8} {seconds:8.2f} {total / MIB / seconds:8.0f} {100 * origins / total:13.0f}% {100 * peers / total:11.0f}%")


def run(args, folder, nodes):
    say("starting one herd and three agents")
    herd = Node(args.krakend, "herd", folder, "--role=herd", "--proxy-port=0", "--peer-port=0", "--blobserver-port=0",
                "--tracker-port=0", "--build-index-port=0")
    nodes.append(herd)
    agents = []
    for number, address in enumerate(AGENTS, 1):
        agents.append(Node(args.krakend, f"agent{number}", folder, "--role=agent", f"--listen-address={address}",
                           f"--peer-ip={address}", "--peer-port=0", "--agent-registry-port=0", "--agent-server-port=0",
                           f"--tracker={herd.ports['tracker api']}", f"--build-index={herd.ports['build-index api']}"))
        nodes.append(agents[-1])
    say(f"making an image of about {args.size} MiB")
    image = Layout(os.path.join(folder, "image"), args.size)
    proxy = herd.ports["proxy registry"]
    say(f"pushing it with skopeo to the proxy at {proxy}")
    start = time.monotonic()
    check(skopeo("--dest-tls-verify=false", f"oci:{image.folder}:v1", f"docker://{proxy}/demo/app:v1"), "push")
    say(f"pushed in {time.monotonic() - start:.2f} s; pulling through agent 1, then through agents 2 and 3 at once")
    outputs = [os.path.join(folder, f"out{i}") for i in (1, 2, 3)]
    seconds = []
    start = time.monotonic()
    check(pull(agents[0].ports["agent registry"], outputs[0]), "pull through agent 1")
    seconds.append(time.monotonic() - start)
    start = time.monotonic()
    pulls = [pull(agent.ports["agent registry"], out) for agent, out in zip(agents[1:], outputs[1:])]
    for number, process in enumerate(pulls, 2):
        check(process, f"pull through agent {number}")
        seconds.append(time.monotonic() - start)
    reference = digests(outputs[0])
    if any(digests(out) != reference for out in outputs[1:]):
        sys.exit("demo: the agents delivered different images")
    say(f"all three pulls are identical: {len(reference)} files, every digest matches\n")
    say("agent     seconds     MB/s   from origin   from peers")
    for number, (agent, spent) in enumerate(zip(agents, seconds), 1):
        row(f"agent {number}", agent, spent)
    if args.keep:
        address = agents[0].ports["agent registry"]
        say(f"\nstill running, data and logs in {folder}. Try:\n"
            f"  skopeo inspect --tls-verify=false docker://{address}/demo/app:v1\n"
            f"  curl http://{agents[1].ports['agent server']}/x/torrents\n"
            f"  curl http://{proxy}/v2/demo/app/tags/list\nPress Enter to stop.")
        sys.stdin.readline()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--krakend", required=True)
    parser.add_argument("--keep", action="store_true", help="leave everything running until Enter is pressed")
    parser.add_argument("--size", type=int, default=200, help="MiB of random bytes in the image")
    args = parser.parse_args()
    for tool in ("skopeo", "busybox"):
        if shutil.which(tool) is None:
            sys.exit(f"demo: {tool} is not installed: run packaging/deps.sh")
    folder, nodes = tempfile.mkdtemp(prefix="krakend-demo-"), []
    try:
        run(args, folder, nodes)
    finally:
        for node in reversed(nodes):
            node.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
