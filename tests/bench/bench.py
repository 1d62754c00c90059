#!/usr/bin/env python3
"""Prints what krakend costs beside a yardstick measured in the same run. Asserts nothing.

usage: bench.py --krakend BINARY [--runs N] [--size MIB] [NAME…]
"""
import argparse
import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time

import operations_bench
import origin_bench
import registry_bench
import rig
import swarm_bench
import tls_bench

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import cluster  # noqa: E402

REPO = "bench/blob"
NGINX_PORT = 18080


class Bench:
    def __init__(self, args, folder):
        self.args = args
        self.folder = FolderPath(folder)
        self.agents = []
        self.agents_made = 0
        self.file = rig.random_file(os.path.join(folder, "blob"), args.size * rig.MIB)
        with open(self.file, "rb") as file:
            self.digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        self.nginx = rig.Nginx(folder, folder, NGINX_PORT)
        self.herd = cluster.herd(FolderPath(folder))
        self.push(self.file, self.digest)

    def push(self, path, digest):
        host, port = self.herd.ports["proxy registry"]
        head = subprocess.run(["curl", "-sS", "--fail", "-D", "-", "-o", os.devnull, "-X", "POST",
                               f"http://{host}:{port}/v2/{REPO}/blobs/uploads/"], capture_output=True, text=True, check=True)
        location = next(line.split(": ", 1)[1].strip() for line in head.stdout.splitlines()
                        if line.lower().startswith("location:"))
        location = location if location.startswith("http") else f"http://{host}:{port}{location}"
        joint = "&" if "?" in location else "?"
        subprocess.run(["curl", "-sS", "--fail", "-T", path, f"{location}{joint}digest={digest}"], check=True)

    def new_agent(self):
        """A cold agent."""
        self.agents_made += 1
        index = 1 + self.agents_made % 200
        agent = cluster.agent(FolderPath(self.folder), self.herd, index)
        self.agents.append(agent)
        return agent

    def retire(self, agents):
        for agent in list(agents):
            self.agents.remove(agent)
            agent.stop()
            shutil.rmtree(agent.data_dir, ignore_errors=True)

    def url(self, agent):
        host, port = agent.ports["agent registry"]
        return f"http://{host}:{port}/v2/{REPO}/blobs/{self.digest}"

    def close(self):
        self.retire(self.agents)
        self.herd.stop()
        self.nginx.stop()

    def per_gib(self, seconds):
        return seconds * 1024 / self.args.size

    def line(self, what, value, target=""):
        print(f"  {what:58} {value:32} {target}", flush=True)

    def warm_get(self):
        """Warm GET on the agent's registry port beside nginx sendfile of the same bytes."""
        agent = self.new_agent()
        rig.wait_all([rig.fetch(self.url(agent))])
        speed, cpu, ours, theirs, peaks = [], [], [], [], []
        for _ in range(self.args.runs):
            with rig.Usage(*self.nginx.pids) as nginx:
                rig.wait_all([rig.fetch(self.nginx.url + "/blob")])
            with rig.Usage(agent.process.pid) as warm:
                rig.wait_all([rig.fetch(self.url(agent))])
            speed.append(nginx.wall / warm.wall)
            ours.append(self.per_gib(warm.cpu))
            theirs.append(self.per_gib(nginx.cpu))
            cpu.append(warm.cpu / max(nginx.cpu, 0.01))
            peaks += warm.peaks
        self.retire([agent])
        self.line("speed / nginx sendfile", rig.spread(speed), "≥ 0.9")
        self.line("CPU / nginx", rig.spread(cpu), "≤ 1.2")
        self.line("CPU s per GiB: agent", rig.spread(ours))
        self.line("CPU s per GiB: nginx", rig.spread(theirs))
        self.line("peak memory of the agent, MiB", f"{max(peaks):.1f}", "≤ 64")

    def bare_receivers(self, count):
        """CPU s per GiB of blob of so many at once that only receive, write and hash."""
        copies = [os.path.join(self.folder, f"bare{index}") for index in range(count)]
        rig.touch_memory(self.folder, count * self.args.size * rig.MIB)
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bare_receiver.py")
        each = [f"{sys.executable} {program} {NGINX_PORT} /blob {copy} & " for copy in copies]
        spent = rig.shell("".join(each) + "wait")
        for copy in copies:
            os.remove(copy)
        return self.per_gib(spent)

    def cold_pull(self):
        """One cold pull origin → agent → curl beside nginx → curl → file and openssl dgst."""
        copy = os.path.join(self.folder, "copy")
        walls, yardsticks, ratio, cpu, agents, herds, agent_peaks, herd_peaks = ([] for _ in range(8))
        pipes, hashes, bare = [], [], []
        for _ in range(self.args.runs):
            rig.touch_memory(self.folder, self.args.size * rig.MIB)
            start = time.monotonic()
            pipes.append(self.per_gib(rig.shell(
                f"curl -sS --fail {self.nginx.url}/blob | tee {copy} | openssl dgst -sha256")))
            yardsticks.append(time.monotonic() - start)
            hashes.append(self.per_gib(rig.shell(f"openssl dgst -sha256 {copy}")))
            os.remove(copy)
            bare.append(self.bare_receivers(1))
            agent = self.new_agent()
            rig.touch_memory(self.folder, self.args.size * rig.MIB)
            with rig.Usage(agent.process.pid, self.herd.process.pid) as cold:
                rig.wait_all([rig.fetch(self.url(agent))])
            walls.append(cold.wall)
            ratio.append(cold.wall / yardsticks[-1])
            cpu.append(self.per_gib(cold.cpu))
            agents.append(self.per_gib(cold.each[0]))
            herds.append(self.per_gib(cold.each[1]))
            agent_peaks.append(cold.peaks[0])
            herd_peaks.append(cold.peaks[1])
            self.retire([agent])
        self.line("seconds", rig.spread(walls))
        self.line("seconds of curl | tee file | openssl dgst -sha256", rig.spread(yardsticks))
        self.line("time / that", rig.spread(ratio), "≤ 1")
        self.line("CPU s per GiB: both processes", rig.spread(cpu), "≤ 1.5")
        self.line("CPU s per GiB: curl, tee and openssl dgst", rig.spread(pipes))
        self.line("CPU / that", rig.spread([ours / theirs for ours, theirs in zip(cpu, pipes)]))
        self.line("CPU s per GiB: openssl dgst of the file alone", rig.spread(hashes))
        self.line("CPU s per GiB: agent, SHA-256 included", rig.spread(agents), "≤ 1.1")
        self.line("CPU s per GiB: recv, pwrite and SHA-256 alone", rig.spread(bare))
        self.line("CPU of the agent / that", rig.spread([ours / theirs for ours, theirs in zip(agents, bare)]))
        self.line("CPU s per GiB: herd with the origin", rig.spread(herds), "≤ 0.25")
        self.line("peak memory of the agent, MiB", f"{max(agent_peaks):.1f}", "≤ 64")
        self.line("peak memory of the herd, MiB", f"{max(herd_peaks):.1f}", "≤ 96")

    def four_agents(self):
        """The blob to four cold agents at once."""
        walls, cpu, herds, shares, agent_peaks, herd_peaks, bare = ([] for _ in range(7))
        for _ in range(self.args.runs):
            bare.append(self.bare_receivers(4))
            agents = [self.new_agent() for _ in range(4)]
            rig.touch_memory(self.folder, 4 * self.args.size * rig.MIB)
            with rig.Usage(self.herd.process.pid, *(agent.process.pid for agent in agents)) as pull:
                rig.wait_all([rig.fetch(self.url(agent)) for agent in agents])
            torrents = [agent.torrents()[0] for agent in agents]
            origin = sum(t["bytes_from_origins"] for t in torrents)
            shares.append(100 * origin / (origin + sum(t["bytes_from_peers"] for t in torrents)))
            walls.append(pull.wall)
            cpu.append(self.per_gib(pull.cpu))
            herds.append(self.per_gib(pull.each[0]))
            herd_peaks.append(pull.peaks[0])
            agent_peaks += pull.peaks[1:]
            self.retire(agents)
        self.line("seconds until the last", rig.spread(walls))
        self.line("CPU s per GiB of blob: all five processes", rig.spread(cpu), "≤ 5")
        self.line("CPU s: recv, pwrite and SHA-256 alone, four times", rig.spread(bare))
        self.line("CPU / that", rig.spread([ours / theirs for ours, theirs in zip(cpu, bare)]))
        self.line("CPU s per GiB of blob: herd with the origin", rig.spread(herds))
        self.line("pieces from the origin, %", rig.spread(shares, "{:.0f}"))
        self.line("peak memory of an agent, MiB", f"{max(agent_peaks):.1f}", "≤ 64")
        self.line("peak memory of the herd, MiB", f"{max(herd_peaks):.1f}", "≤ 96")

    def small_blobs(self):
        """100 blobs of 10 KB, each cold, one after another over one keep-alive connection."""
        medians, cpu = [], []
        for _ in range(self.args.runs):
            blobs = [os.urandom(10_000) for _ in range(100)]
            digests = [cluster.push_blob(self.herd, blob, REPO) for blob in blobs]
            agent = self.new_agent()
            connection = http.client.HTTPConnection(*agent.ports["agent registry"], timeout=60)
            times = []
            with rig.Usage(agent.process.pid, self.herd.process.pid) as usage:
                for blob, digest in zip(blobs, digests):
                    start = time.monotonic()
                    connection.request("GET", f"/v2/{REPO}/blobs/{digest}")
                    answer = connection.getresponse().read()
                    times.append(1000 * (time.monotonic() - start))
                    if answer != blob:
                        sys.exit(f"bench: wrong bytes for {digest}")
            connection.close()
            medians.append(rig.median(times))
            cpu.append(1000 * usage.cpu / len(blobs))
            self.retire([agent])
        self.line("milliseconds, median of 100", rig.spread(medians), "≤ 4")
        self.line("CPU ms per blob: agent and herd", rig.spread(cpu), "≤ 4")

    def idle_memory(self):
        """Resident memory of each role alone, after its start."""
        for role in ("agent", "origin", "tracker", "build-index", "proxy", "herd"):
            ports = {"agent": ["--peer-port=0", "--agent-registry-port=0", "--agent-server-port=0"],
                     "origin": ["--peer-port=0", "--blobserver-port=0"],
                     "herd": ["--proxy-port=0", "--peer-port=0", "--blobserver-port=0", "--tracker-port=0",
                              "--build-index-port=0"]}.get(role, ["--port=0"])
            process = cluster.Process(role, os.path.join(self.folder, "idle-" + role), "--listen-address=127.0.0.1", *ports)
            time.sleep(2)  # what "idle" means: nothing happens for a while
            self.line(f"{role}, MiB", f"{rig.memory_mib(process.process.pid, 'VmRSS'):.1f}", "≤ 12" if role != "herd" else "")
            process.stop()


class FolderPath(str):
    """The two operations of a path that the cluster helpers use."""

    def __truediv__(self, name):
        return FolderPath(os.path.join(self, name))


BENCHES = {"warm-get": Bench.warm_get, "cold-pull": Bench.cold_pull, "four-agents": Bench.four_agents,
           "small-blobs": Bench.small_blobs, "idle-memory": Bench.idle_memory,
           "small-requests": registry_bench.small_requests, "push": registry_bench.push,
           "idle-connections": registry_bench.idle_connections,
           "origin-upload": origin_bench.origin_upload, "small-uploads": origin_bench.small_uploads,
           "metainfo": origin_bench.metainfo, "open-store": origin_bench.open_store,
           "start": operations_bench.start, "reload": operations_bench.reload, "storm": operations_bench.storm,
           "shaped-swarm": swarm_bench.shaped_swarm, "disturbed-swarm": swarm_bench.disturbed_swarm,
           "many-torrents": swarm_bench.many_torrents, **tls_bench.BENCHES}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--krakend", default="build/release/krakend")
    parser.add_argument("--runs", type=int, default=5, help="repetitions; medians are printed (5)")
    parser.add_argument("--size", type=int, default=1024, help="MiB of the large blob (1024)")
    parser.add_argument("names", nargs="*", help="which of: " + ", ".join(BENCHES) + " (all)")
    args = parser.parse_args()
    unknown = set(args.names) - set(BENCHES)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    congestion = rig.enter_own_network()
    cluster.KRAKEND = os.path.abspath(args.krakend)
    with tempfile.TemporaryDirectory(prefix="krakend-bench-") as folder:
        print(f"blob of {args.size} MiB, {args.runs} runs: median (smallest … largest); TCP congestion control "
              f"{congestion} for everybody; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        bench = Bench(args, folder)
        try:
            for name in args.names or BENCHES:
                print(f"\n{name}: {BENCHES[name].__doc__}", flush=True)
                BENCHES[name](bench)
        finally:
            bench.close()


if __name__ == "__main__":
    main()
