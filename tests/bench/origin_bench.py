"""The origin alone, over its cluster API, beside what the same disk and processor do without it."""

import hashlib
import http.client
import os
import shutil
import socket
import sys
import threading
import time
from multiprocessing import Pool, Process

import registry_bench
import rig

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import cluster  # noqa: E402

CHUNK = 32 * rig.MIB
SMALL = 10 * 1024
SMALL_COUNT = 1000
SMALL_PARALLEL = 16
STORED = int(os.environ.get("BLOBS", 1_000_000))


def new_origin(folder, name):
    data = os.path.join(folder, name)
    os.makedirs(data, exist_ok=True)
    return cluster.Process("origin", data, "--listen-address=127.0.0.1", "--blobserver-port=0", "--peer-port=0")


def address(origin):
    return origin.ports["origin blobserver"]


def put_file(origin, path, digest, size):
    """The exchange of a cluster upload; the file goes over in chunks as the proxy sends them."""
    connection = http.client.HTTPConnection(*address(origin), timeout=300)
    base = f"/namespace/TODO/blobs/{digest}/uploads"

    def ask(method, target, body=None, headers=None):
        connection.request(method, target, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"bench: {method} {target}: {answer.status} {text!r}")
        return answer

    uid = ask("POST", base).headers["Location"]
    with open(path, "rb") as file:
        for at in range(0, size, CHUNK):
            length = min(CHUNK, size - at)
            connection.putrequest("PATCH", f"{base}/{uid}")
            connection.putheader("Content-Length", str(length))
            connection.putheader("Content-Range", f"{at}-{at + length}")
            connection.endheaders()
            connection.sock.sendfile(file, at, length)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                sys.exit(f"bench: PATCH: {answer.status}")
    ask("PUT", f"{base}/{uid}")
    connection.close()


def write_by_hand(path, target):
    """What has to be done at least: read, hash, write, fsync."""
    digest = hashlib.sha256()
    with open(path, "rb") as source, open(target, "wb") as sink:
        while block := source.read(rig.MIB):
            digest.update(block)
            sink.write(block)
        sink.flush()
        os.fsync(sink.fileno())


def file_digest(path):
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def send_file(to, path, size):
    with socket.socket() as connection, open(path, "rb") as file:
        connection.connect(to)
        connection.sendfile(file, 0, size)


def receive_by_hand(path, target, size):
    """The least that a server does: receive, hash, write, fsync, one after the other on one thread."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(256 * 1024))
    with socket.create_server(("127.0.0.1", 0)) as server, open(target, "wb", buffering=0) as sink:
        sender = Process(target=send_file, args=(server.getsockname(), path, size))
        sender.start()
        connection, _ = server.accept()
        with connection:
            while length := connection.recv_into(buffer):
                digest.update(buffer[:length])
                sink.write(buffer[:length])
        os.fsync(sink.fileno())
        sender.join()


def measured(work, *args):
    """Seconds, and seconds of CPU of this process."""
    before, start = os.times(), time.monotonic()
    work(*args)
    wall, after = time.monotonic() - start, os.times()
    return wall, after.user + after.system - before.user - before.system


def origin_upload(bench):
    """A blob to one origin over the cluster API; yardsticks: read, SHA-256, write and fsync of the same bytes, and
    the same with the bytes coming over a socket."""
    size = bench.args.size * rig.MIB
    origin = new_origin(bench.folder, "upload-origin")
    ratios, cpu, bare, bare_cpu, peaks, rates = [], [], [], [], [], []
    path, copy = (os.path.join(bench.folder, name) for name in ("upload", "copy"))
    try:
        for _ in range(bench.args.runs):
            digest = file_digest(rig.random_file(path, size))
            rig.touch_memory(bench.folder, 2 * size)
            by_hand, by_hand_cpu = measured(write_by_hand, path, copy)
            os.remove(copy)
            rig.touch_memory(bench.folder, 2 * size)
            received, received_cpu = measured(receive_by_hand, path, copy, size)
            os.remove(copy)
            rig.touch_memory(bench.folder, 2 * size)
            with rig.Usage(origin.process.pid) as usage:
                put_file(origin, path, digest, size)
            ratios.append(by_hand / usage.wall)
            bare.append(received / usage.wall)
            rates.append(bench.args.size / usage.wall)
            cpu.append(usage.cpu / by_hand_cpu)
            bare_cpu.append(usage.cpu / received_cpu)
            peaks.append(usage.peaks[0])
    finally:
        origin.stop()
    bench.line("MiB a second", rig.spread(rates, "{:.0f}"))
    bench.line("rate / by hand", rig.spread(ratios), "≥ 0.8")
    bench.line("CPU of the origin / by hand", rig.spread(cpu), "≤ 1.2")
    bench.line("rate / a bare receiver", rig.spread(bare))
    bench.line("CPU of the origin / a bare receiver", rig.spread(bare_cpu))
    bench.line("peak memory of the origin, MiB", f"{max(peaks):.1f}", "≤ 64")


class Line:
    """One kept connection that sends prepared requests: nothing of the client's own shall count."""

    def __init__(self, where):
        self.socket = socket.create_connection(where)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request):
        self.socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            got = self.socket.recv(4096)
            if not got:
                sys.exit("bench: the origin closed the connection")
            answer += got
        if not answer.startswith(b"HTTP/1.1 200"):
            sys.exit(f"bench: {answer[:300]!r}")
        return answer


def store_small(job):
    where, count = job
    line = Line(where)
    host = b"Host: o\r\n"
    bodies = [os.urandom(SMALL) for _ in range(count)]
    bases = [f"/namespace/TODO/blobs/sha256:{hashlib.sha256(body).hexdigest()}/uploads".encode() for body in bodies]
    start = time.monotonic()
    for body, base in zip(bodies, bases):
        head = line.ask(b"POST " + base + b" HTTP/1.1\r\n" + host + b"Content-Length: 0\r\n\r\n")
        uid = head.split(b"Location: ", 1)[1].split(b"\r\n", 1)[0]
        line.ask(b"PATCH " + base + b"/" + uid + b" HTTP/1.1\r\n" + host +
                 f"Content-Length: {SMALL}\r\nContent-Range: 0-{SMALL}\r\n\r\n".encode() + body)
        line.ask(b"PUT " + base + b"/" + uid + b" HTTP/1.1\r\n" + host + b"Content-Length: 0\r\n\r\n")
    return start, time.monotonic()


def fsync_rate(folder, threads):
    """Files of that size created, written and synced, a second."""
    each = 400 // threads
    directory = os.path.join(folder, "fsync")
    os.makedirs(directory, exist_ok=True)
    data = os.urandom(SMALL)

    def work(index):
        for i in range(each):
            fd = os.open(os.path.join(directory, f"{index}-{i}"), os.O_CREAT | os.O_WRONLY)
            os.write(fd, data)
            os.fsync(fd)
            os.close(fd)

    start = time.monotonic()
    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    rate = threads * each / (time.monotonic() - start)
    shutil.rmtree(directory)
    return rate


def small_uploads(bench):
    """1 000 blobs of 10 KB from 16 connections at once; beside it what a bare loop of fsyncs does on this disk."""
    origin = new_origin(bench.folder, "small-origin")
    rates, cpu = [], []
    try:
        for _ in range(bench.args.runs):
            jobs = [(address(origin), SMALL_COUNT // SMALL_PARALLEL + 1)] * SMALL_PARALLEL
            with Pool(SMALL_PARALLEL) as pool, rig.Usage(origin.process.pid) as usage:
                spans = pool.map(store_small, jobs, chunksize=1)
            wall = max(end for _, end in spans) - min(start for start, _ in spans)
            rates.append(sum(count for _, count in jobs) / wall)
            cpu.append(usage.cpu / sum(count for _, count in jobs) * 1000)
    finally:
        origin.stop()
    bench.line("uploads a second", rig.spread(rates, "{:.0f}"), "≥ 1000")
    bench.line("CPU of the origin a 1 000 uploads, seconds", rig.spread(cpu))
    bench.line("bare fsyncs a second, one thread and 16",
               f"{fsync_rate(bench.folder, 1):.0f}, {fsync_rate(bench.folder, SMALL_PARALLEL):.0f}")


def metainfo(bench):
    """GET of the metainfo of one blob."""
    origin = new_origin(bench.folder, "metainfo-origin")
    try:
        path = rig.random_file(os.path.join(bench.folder, "metainfo"), 64 * rig.MIB)
        with open(path, "rb") as file:
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        put_file(origin, path, digest, 64 * rig.MIB)
        target = f"/internal/namespace/TODO/blobs/{digest}/metainfo"
        rates = [registry_bench.rate(address(origin), "GET", target, True) for _ in range(bench.args.runs)]
    finally:
        origin.stop()
    bench.line("requests a second, kept connections", rig.spread(rates, "{:.0f}"), "≥ 5000")


def fabricate(cache, first, count):
    for i in range(first, first + count):
        name = hashlib.sha256(str(i).encode()).hexdigest()
        entry = os.path.join(cache, name[:2], name[2:4], name)
        os.makedirs(entry, exist_ok=True)
        with open(os.path.join(entry, "data"), "wb") as file:
            file.write(b"x")
    return count


def open_store(bench):
    """An origin with a million blobs on disk (BLOBS=…): from its start to `ready`, and to the first answer."""
    data = os.path.join(bench.folder, "large-origin")
    cache = os.path.join(data, "cache")
    part = STORED // 20
    with Pool(2) as pool:
        pool.starmap(fabricate, [(cache, i * part, part) for i in range(20)])
    start = time.monotonic()
    origin = new_origin(bench.folder, "large-origin")
    try:
        ready = time.monotonic() - start
        digest = "sha256:" + hashlib.sha256(b"5").hexdigest()
        connection = http.client.HTTPConnection(*address(origin), timeout=60)
        connection.request("HEAD", f"/internal/namespace/TODO/blobs/{digest}?local=true")
        answer = connection.getresponse()
        answer.read()
        first = time.monotonic() - start
        if answer.status != 200:
            sys.exit(f"bench: a blob that is there: {answer.status}")
        origin.wait_for("looked at all blobs", 600)
        walked = time.monotonic() - start
        peak = rig.memory_mib(origin.process.pid, "VmHWM")
    finally:
        origin.stop()
    shutil.rmtree(data)
    bench.line(f"{STORED} blobs: seconds until ready, until the first answer", f"{ready:.2f}, {first:.2f}", "≤ 10")
    bench.line("seconds until blobs to be written back are known (behind)", f"{walked:.1f}")
    bench.line("peak memory, MiB", f"{peak:.1f}", "≤ 64")
