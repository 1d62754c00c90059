"""A swarm over links of a known rate: each host in a network namespace of its own, shaped in both directions."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

import rig

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import cluster  # noqa: E402

AGENTS = int(os.environ.get("AGENTS", 8))
MBIT = int(os.environ.get("MBIT", 200))
# A piece takes about 10 ms of such a link (docs/swarm.md).
PIECE = os.environ.get("PIECE", "256KB")
# The reference's constants, as far as configuration has them, and nothing of the extension.
UPSTREAM = ("scheduler: {super_seeding: false, extension: false, connstate: {max_open_conn: 10, blacklist_duration: 30s}, "
            "dispatch: {pipeline_limit: 3, origin_pipeline_limit: 5}}")
NETWORK = "10.77.0"


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


class Hosts:
    """Namespaces kbench-0 … behind one bridge, each with MBIT in both directions."""

    def __init__(self, count):
        self.names = [f"kbench-{os.getpid()}-{index}" for index in range(count)]
        self.hub = f"kbench-{os.getpid()}-hub"

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self):
        ip("netns", "add", self.hub)
        ip("-n", self.hub, "link", "add", "br0", "type", "bridge")
        ip("-n", self.hub, "link", "set", "br0", "up")
        for index, name in enumerate(self.names):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", self.hub, "link", "add", f"h{index}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("-n", self.hub, "link", "set", f"h{index}", "master", "br0", "up")
            ip("-n", name, "addr", "add", f"{NETWORK}.{index + 1}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            # What TCP has learned in one run would slow down the next one.
            subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1"], check=True)
            self.shape(index, MBIT)
            for control in ("cubic", "reno"):
                if subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qw",
                                   f"net.ipv4.tcp_congestion_control={control}"], capture_output=True).returncode == 0:
                    break

    def shape(self, index, mbit):
        """The rate of one host's link, in each direction."""
        for namespace, device in ((self.names[index], "eth0"), (self.hub, f"h{index}")):
            subprocess.run(["tc", "-n", namespace, "qdisc", "replace", "dev", device, "root", "tbf", "rate",
                            f"{mbit:g}mbit", "burst", "128kb", "latency", "30ms"], check=True)

    def __exit__(self, *_):
        for name in [*self.names, self.hub]:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def tcp_counter(self, name):
        """Of all hosts together; of /proc/net/snmp or netstat."""
        total = 0
        for host in self.names:
            for table in ("snmp", "netstat"):
                lines = subprocess.run(["ip", "netns", "exec", host, "cat", f"/proc/net/{table}"],
                                       capture_output=True, text=True, check=True).stdout.splitlines()
                for names, values in zip(lines[::2], lines[1::2]):
                    total += int(dict(zip(names.split(), values.split())).get(name, 0))
        return total

    def run(self, index, *command):
        return ["ip", "netns", "exec", self.names[index], *command]


class Swarm:
    """A herd in the first host and a cold agent in each other one."""

    def __init__(self, hosts, folder, size, scheduler="scheduler: {}"):
        self.hosts, self.folder = hosts, folder
        self.first = f"{NETWORK}.1"
        config = os.path.join(folder, "herd.yaml")
        with open(config, "w") as file:
            file.write("origin:\n  metainfogen: {piece_lengths: {0: %s}}\n  %s\n" % (PIECE, scheduler))
        self.agent_config = os.path.join(folder, "agent.yaml")
        with open(self.agent_config, "w") as file:
            file.write(scheduler + "\n")
        self.herd = cluster.Process("origin,tracker,build-index,proxy", f"{folder}/herd", f"--config={config}",
                                    f"--listen-address={self.first}", f"--peer-ip={self.first}", prefix=hosts.run(0))
        blob = rig.random_file(os.path.join(folder, "blob"), size)
        self.digest = "sha256:" + subprocess.run(["sha256sum", blob], capture_output=True, text=True,
                                                 check=True).stdout.split()[0]
        # From a pipe: what curl is given as data it takes into memory, and refuses when it is a GiB.
        with open(blob, "rb") as content:
            subprocess.run(hosts.run(0, "curl", "-sSf", "-o", os.devnull, "-X", "POST", "-T", "-", "-H", "Expect:",
                                     "-H", "Content-Type: application/octet-stream",
                                     f"http://{self.first}:15000/v2/bench/blob/blobs/uploads/?digest={self.digest}"),
                           stdin=content, check=True)

    def agent(self, index):
        own = f"{NETWORK}.{index + 1}"
        shutil.rmtree(f"{self.folder}/agent{index}", ignore_errors=True)
        return cluster.Process("agent", f"{self.folder}/agent{index}", f"--config={self.agent_config}",
                               f"--listen-address={own}", f"--peer-ip={own}",
                               f"--tracker={self.first}:15003", f"--build-index={self.first}:15004",
                               prefix=self.hosts.run(index))

    def pull(self, index):
        return subprocess.Popen(self.hosts.run(
            index, "curl", "-sSf", "-o", os.devnull, "-w", "%{time_total}",
            f"http://{NETWORK}.{index + 1}:16000/v2/bench/blob/blobs/{self.digest}"), stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)


def shaped_swarm(bench):
    """One origin, AGENTS=… (8) agents, pieces of PIECE=… (256KB), MBIT=… (200) in each direction for each of them; all pull the blob at once."""
    with Hosts(AGENTS + 1) as hosts:
        shaped_pulls(bench, hosts, "", "scheduler: {}")
        shaped_pulls(bench, hosts, "without the extension: ", "scheduler: {extension: false}")
        shaped_pulls(bench, hosts, "upstream's constants: ", UPSTREAM)


def shaped_pulls(bench, hosts, whose, scheduler):
    size = bench.args.size * rig.MIB
    ratios, medians, shares, retries, losses, timeouts = [], [], [], [], [], []
    with contextlib.ExitStack() as stack:
        swarm = Swarm(hosts, stack.enter_context(tempfile.TemporaryDirectory(prefix="krakend-swarm-")), size, scheduler)
        stack.callback(swarm.herd.stop)
        for _ in range(bench.args.runs):
            lost, timed_out = hosts.tcp_counter("RetransSegs"), hosts.tcp_counter("TCPTimeouts")
            agents = [swarm.agent(index) for index in range(1, AGENTS + 1)]
            start = time.monotonic()
            clients = [swarm.pull(index) for index in range(1, AGENTS + 1)]
            times = sorted(float(client.communicate()[0]) for client in clients)
            bound = size * 8 / (MBIT * 1e6)
            ratios.append((time.monotonic() - start) / bound)
            medians.append(times[len(times) // 2] / bound)
            losses.append(hosts.tcp_counter("RetransSegs") - lost)
            timeouts.append(hosts.tcp_counter("TCPTimeouts") - timed_out)
            for agent in agents:
                agent.stop()
            fields = [cluster.fields_of(line) for agent in agents for line in agent.log if "download complete" in line]
            shares.append(sum(int(of["from_origins"]) for of in fields) / size)
            retries.append(sum(int(of["retries"]) for of in fields))
    bench.line(whose + "last agent / (size / rate)", rig.spread(ratios), "" if whose else "≤ 1.15")
    bench.line(whose + "median agent / (size / rate)", rig.spread(medians))
    bench.line(whose + "copies that left the origin", rig.spread(shares))
    bench.line(whose + "requests made again", rig.spread(retries, "{:.0f}"))
    bench.line(whose + "TCP segments sent again", rig.spread(losses, "{:.0f}"))
    bench.line(whose + "TCP time-outs", rig.spread(timeouts, "{:.0f}"))


def disturbed_swarm(bench):
    """16 agents, one of them at a tenth of MBIT=… (200), two killed half-way: the slowest of the others beside undisturbed ones."""
    size, count = bench.args.size * rig.MIB, 16
    bound = size * 8 / (MBIT * 1e6)
    undisturbed, disturbed, ratios, peaks = [], [], [], []
    with Hosts(count + 1) as hosts, contextlib.ExitStack() as stack:
        swarm = Swarm(hosts, stack.enter_context(tempfile.TemporaryDirectory(prefix="krakend-swarm-")), size)
        stack.callback(swarm.herd.stop)
        for _ in range(bench.args.runs):
            for disturb, times in ((False, undisturbed), (True, disturbed)):
                hosts.shape(count, MBIT / 10 if disturb else MBIT)
                agents = {index: swarm.agent(index) for index in range(1, count + 1)}
                clients = {index: swarm.pull(index) for index in agents}
                gone = {count} if disturb else set()
                if disturb:
                    time.sleep(bound / 2)  # half-way by the clock of the links
                    for index in (1, 2):
                        agents.pop(index).kill()
                        clients.pop(index).wait()
                times.append(max(float(clients[index].communicate()[0]) for index in clients if index not in gone))
                for index in gone:  # it would take ten times as long
                    clients[index].kill()
                    clients[index].wait()
                for agent in agents.values():
                    peaks.append(rig.memory_mib(agent.process.pid, "VmHWM"))
                    agent.stop()
            ratios.append(disturbed[-1] / undisturbed[-1])
    bench.line("undisturbed: last agent / (size / rate)", rig.spread([t / bound for t in undisturbed]))
    bench.line("disturbed: last of the 13 others / (size / rate)", rig.spread([t / bound for t in disturbed]))
    bench.line("disturbed / undisturbed", rig.spread(ratios), "≤ 1.2")
    bench.line("peak memory of an agent, MiB", f"{max(peaks):.1f}", "≤ 64")


def many_torrents(bench):
    """200 blobs of BLOB=… (4) MiB at once on one cold agent."""
    count, size = 200, int(os.environ.get("BLOB", 4)) * rig.MIB
    walls, slowest, peaks, herd_peaks = [], [], [], []
    for _ in range(bench.args.runs):
        digests = [cluster.push_blob(bench.herd, os.urandom(size), "bench/blob") for _ in range(count)]
        agent = bench.new_agent()
        host, port = agent.ports["agent registry"]
        with rig.Usage(agent.process.pid, bench.herd.process.pid) as usage:
            config = "".join(f'url = "http://{host}:{port}/v2/bench/blob/blobs/{digest}"\noutput = "{os.devnull}"\n'
                             for digest in digests)
            done = subprocess.run(["curl", "-sSf", "--parallel", "--parallel-immediate", "--parallel-max", str(count),
                                   "-w", "%{time_total}\n", "-K", "-"], input=config, capture_output=True, text=True,
                                  check=True)
        times = sorted(map(float, done.stdout.split()))
        walls.append(usage.wall)
        slowest.append(times[-1] / times[len(times) // 2])
        peaks.append(usage.peaks[0])
        herd_peaks.append(usage.peaks[1])
        bench.retire([agent])
    bench.line("MiB/s over all", rig.spread([count * size / rig.MIB / wall for wall in walls], "{:.0f}"))
    bench.line("slowest download / median one", rig.spread(slowest))
    bench.line("peak memory of the agent, MiB", f"{max(peaks):.1f}", "≤ 64")
    bench.line("peak memory of the herd, MiB", f"{max(herd_peaks):.1f}", "≤ 96")
