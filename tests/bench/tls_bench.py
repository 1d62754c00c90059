"""krakend's TLS beside nginx's: bytes, handshakes, parked connections. One ECDSA P-256 certificate for both."""

import http.client
import os
import re
import resource
import socket
import ssl
import subprocess
import sys

import rig

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import cluster  # noqa: E402

NGINX_PORT = 18443
SECONDS = 3  # of each measurement of handshakes
CLIENTS = 4  # that make handshakes at once
PARKED = 20_000
SPARE = 300  # descriptors that a process keeps for other things


class Material:
    def __init__(self, folder):
        self.cert, self.key = (os.path.join(folder, name) for name in ("tls.pem", "tls.key"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", self.key, "-out", self.cert, "-days", "2", "-subj", "/CN=bench",
                        "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)


class TlsNginx(rig.Nginx):
    """As many workers as cores, tickets on: what an operator would run."""

    def __init__(self, folder, material):
        self.own = os.path.join(folder, "tls-nginx")
        os.makedirs(self.own)
        self.material = material
        os.symlink(os.path.join(folder, "blob"), os.path.join(self.own, "blob"))
        with open(os.path.join(self.own, "health"), "w") as file:
            file.write("OK\n")
        super().__init__(self.own, self.own, NGINX_PORT)
        self.url = f"https://127.0.0.1:{NGINX_PORT}"

    def config(self, folder, root, port):
        text = super().config(folder, root, port)
        text = text.replace("worker_processes 1;", "worker_processes auto;")
        return text.replace(f"listen 127.0.0.1:{port};", f"""listen 127.0.0.1:{port} ssl;
    ssl_certificate {self.material.cert}; ssl_certificate_key {self.material.key};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_timeout 1h;""")


class Sides:
    """An agent with TLS that has the blob, and nginx."""

    def __init__(self, bench):
        folder = str(bench.folder)
        self.material = Material(folder)
        config = os.path.join(folder, "tls-agent.yaml")
        with open(config, "w") as file:
            file.write(f"tls: {{cas: [{{path: {self.material.cert}}}], client: {{disabled: true}}, "
                       f"server: {{cert: {{path: {self.material.cert}}}, key: {{path: {self.material.key}}}}}}}\n")
        host, tracker = bench.herd.ports["tracker api"]
        build_index = bench.herd.ports["build-index api"][1]
        self.agent = cluster.Process("agent", os.path.join(folder, "tls-agent"), "--listen-address=127.0.0.1",
                                     "--peer-ip=127.0.0.1", "--peer-port=0", "--agent-registry-port=0",
                                     "--agent-server-port=0", f"--tracker={host}:{tracker}",
                                     f"--build-index={host}:{build_index}", f"--config={config}")
        self.address = self.agent.ports["agent registry"]
        self.nginx = TlsNginx(folder, self.material)

    def url(self, bench):
        return bench.url(self.agent).replace("http:", "https:")

    def stop(self):
        self.agent.stop()
        self.nginx.stop()


def with_sides(measure):
    def run(bench):
        sides = Sides(bench)
        try:
            measure(bench, sides)
        finally:
            sides.stop()
            subprocess.run(["rm", "-rf", sides.nginx.own, sides.agent.data_dir])
    run.__doc__ = measure.__doc__
    return run


def fetch(url, material):
    return subprocess.Popen(["curl", "-sS", "--fail", "--cacert", material.cert, "-o", os.devnull, url])


@with_sides
def tls_get(bench, sides):
    """Warm GET of the blob over TLS 1.3, AES-256-GCM, beside nginx with the same certificate and file."""
    url = sides.url(bench)
    rig.wait_all([fetch(url, sides.material)])
    speed, ours, theirs, peaks = [], [], [], []
    for _ in range(bench.args.runs):
        with rig.Usage(*sides.nginx.pids) as nginx:
            rig.wait_all([fetch(sides.nginx.url + "/blob", sides.material)])
        with rig.Usage(sides.agent.process.pid) as warm:
            rig.wait_all([fetch(url, sides.material)])
        speed.append(nginx.wall / warm.wall)
        ours.append(bench.per_gib(warm.cpu))
        theirs.append(bench.per_gib(nginx.cpu))
        peaks += warm.peaks
    bench.line("speed / nginx with TLS", rig.spread(speed), "≥ 0.8")
    bench.line("CPU s per GiB: agent", rig.spread(ours))
    bench.line("CPU s per GiB: nginx", rig.spread(theirs))
    bench.line("peak memory of the agent, MiB", f"{max(peaks):.1f}", "≤ 64")


def handshakes(address, kind):
    """Handshakes a second of some clients at once; each asks for /health, or a ticket of TLS 1.3 would not be read."""
    clients = [subprocess.Popen(["openssl", "s_time", "-connect", "%s:%d" % address, "-" + kind, "-time", str(SECONDS),
                                 "-www", "/health"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
               for _ in range(CLIENTS)]
    total = 0
    for client in clients:
        out = client.communicate()[0]
        found = re.findall(r"(\d+) connections in (\d+) real seconds", out)
        if not found:
            sys.exit(f"bench: openssl s_time: {out}")
        total += int(found[-1][0]) / int(found[-1][1])
    return total


@with_sides
def tls_handshakes(bench, sides):
    """Handshakes a second of four clients, full and resumed, each with one small request, beside nginx."""
    for kind, name in (("new", "full"), ("reuse", "resumed")):
        ratio, rates, cpu = [], [], []
        for _ in range(bench.args.runs):
            with rig.Usage(*sides.nginx.pids) as nginx:
                theirs = handshakes(("127.0.0.1", NGINX_PORT), kind)
            with rig.Usage(sides.agent.process.pid) as agent:
                ours = handshakes(sides.address, kind)
            ratio.append(ours / theirs)
            rates.append(ours)
            cpu.append((agent.cpu / ours) / (nginx.cpu / theirs))
        bench.line(f"{name}: rate / nginx", rig.spread(ratio), "≥ 0.8")
        bench.line(f"{name}: per second", rig.spread(rates, "{:.0f}"))
        bench.line(f"{name}: CPU of the server / nginx", rig.spread(cpu))


@with_sides
def tls_parked(bench, sides):
    """Keep-alive connections over TLS that wait after a request."""
    limit = min(resource.getrlimit(resource.RLIMIT_NOFILE))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    count = min(PARKED, limit - SPARE)
    context = ssl.create_default_context(cafile=sides.material.cert)
    pid = sides.agent.process.pid
    held = []

    def park():
        plain = socket.create_connection(sides.address, timeout=60)
        secured = context.wrap_socket(plain, server_hostname="127.0.0.1")
        secured.sendall(b"GET /health HTTP/1.1\r\nHost: bench\r\n\r\n")
        response = http.client.HTTPResponse(secured)
        response.begin()
        response.read()
        held.append(socket.socket(fileno=secured.detach()))  # only the descriptor costs anything here

    for _ in range(100):  # what the first ones allocate for good is not theirs
        park()
    before, parked = rig.memory_mib(pid, "VmRSS"), len(held)
    while len(held) < count:
        park()
    each = (rig.memory_mib(pid, "VmRSS") - before) * 1024 / (len(held) - parked)
    bench.line(f"memory of one of {len(held)} connections, KiB", f"{each:.1f}", "≤ 40")
    with open(f"/proc/{pid}/status") as file:
        threads = re.search(r"Threads:\s+(\d+)", file.read())[1]
    bench.line("threads of the agent", threads, "≤ 64")
    for connection in held:
        connection.close()


BENCHES = {"tls-get": tls_get, "tls-handshakes": tls_handshakes, "tls-parked": tls_parked}
