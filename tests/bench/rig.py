"""What the benchmarks measure with: a network of their own, CPU seconds and memory of processes, nginx as yardstick."""

import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time

TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024
GIB = 1024 * MIB


def enter_own_network():
    """Starts the program again in a network namespace with loopback only and one congestion control for everybody.

    Needs root; without it the benchmark runs where it is. Returns the congestion control in force."""
    if os.geteuid() == 0 and "KRAKEND_BENCH_NETNS" not in os.environ and shutil.which("unshare"):
        os.environ["KRAKEND_BENCH_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    if "KRAKEND_BENCH_NETNS" in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for name in ("cubic", "reno"):
            done = subprocess.run(["sysctl", "-qw", f"net.ipv4.tcp_congestion_control={name}"], capture_output=True)
            if done.returncode == 0:
                break
    with open("/proc/sys/net/ipv4/tcp_congestion_control") as file:
        return file.read().strip()


def cpu_seconds(*pids):
    """User and system time so far of the processes, their dead children not included."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def memory_mib(pid, key):
    """`key` is a field of /proc/PID/status: VmRSS now, VmHWM the peak."""
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith(key + ":"):
                return int(line.split()[1]) / 1024
    raise KeyError(key)


def reset_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")


class Usage:
    """Wall clock, CPU seconds and peak memory of processes while a `with` block runs."""

    def __init__(self, *pids):
        self.pids = pids

    def __enter__(self):
        for pid in self.pids:
            reset_peak(pid)
        self.cpu_before = [cpu_seconds(pid) for pid in self.pids]
        self.start = time.monotonic()
        return self

    def __exit__(self, *_):
        self.wall = time.monotonic() - self.start
        self.each = [cpu_seconds(pid) - before for pid, before in zip(self.pids, self.cpu_before)]
        self.cpu = sum(self.each)
        self.peaks = [memory_mib(pid, "VmHWM") for pid in self.pids]


class Nginx:
    """Serves a folder with sendfile: the yardstick for bytes on the wire."""

    def __init__(self, folder, root, port):
        config = os.path.join(folder, "nginx.conf")
        with open(config, "w") as file:
            file.write(self.config(folder, root, port))
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(["nginx", "-p", folder, "-c", config, "-e", "stderr"])
        deadline = time.monotonic() + 10
        while subprocess.run(["curl", "-so", os.devnull, self.url + "/"]).returncode != 0:
            if time.monotonic() > deadline:
                sys.exit("bench: nginx did not start")
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        self.pids = [self.process.pid, *map(int, open(children).read().split())]

    def config(self, folder, root, port):
        return f"""
user root;
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 256; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


def fetch(url, output=os.devnull):
    """A running curl that fails on an HTTP error."""
    return subprocess.Popen(["curl", "-sS", "--fail", "-o", output, url])


def wait_all(processes):
    for process in processes:
        if process.wait() != 0:
            sys.exit(f"bench: {process.args} ended with {process.returncode}")


def random_file(path, size):
    with open(path, "wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
    return path


def touch_memory(folder, size):
    """Writes `size` bytes of page cache and frees them, so that the next writer gets pages the machine owns.

    A hypervisor may have taken free memory back; touching it again costs up to ten times the copy itself and would be
    charged to whoever comes first."""
    path = os.path.join(folder, "touched")
    with open(path, "wb") as file:
        block = bytes(MIB)
        for _ in range(size // MIB):
            file.write(block)
    os.remove(path)


def shell(command):
    """Runs it; CPU seconds of all its processes."""
    def spent():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime
    before = spent()
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)
    return spent() - before


def median(values):
    return statistics.median(values)


def spread(values, form="{:.2f}"):
    """Median with the smallest and largest value behind it."""
    low, mid, high = (form.format(f(values)) for f in (min, median, max))
    return f"{mid} ({low} … {high})"
