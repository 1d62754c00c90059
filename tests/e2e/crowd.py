"""Many slow clients at once, from one thread: what a server has to bear. Loopback only, bounded in number and time."""

import contextlib
import os
import selectors
import socket
import threading
import time

STEP = 0.1  # seconds between two moves of all clients


class Client:
    """One connection. `outgoing` is sent `portion` bytes a step (0: all at once), then answers are read `appetite`
    bytes a step."""

    def __init__(self, address, outgoing, portion=0, appetite=65536, source=None):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(address)
        self.socket.setblocking(False)
        self.outgoing = memoryview(outgoing)
        self.portion = portion
        self.appetite = appetite
        self.received = 0
        self.begin = b""
        self.closed = False

    def step(self):
        if self.closed:
            return
        with contextlib.suppress(BlockingIOError, ConnectionError):  # the answer may be there all the same
            if self.outgoing:
                sent = self.socket.send(self.outgoing[:self.portion] if self.portion else self.outgoing)
                self.outgoing = self.outgoing[sent:]
        with contextlib.suppress(BlockingIOError):
            try:
                data = self.socket.recv(self.appetite)
            except ConnectionError:
                data = b""
            self.received += len(data)
            if len(self.begin) < 1000:
                self.begin += data[:1000]
            self.closed = not data

    def close(self):
        self.socket.close()


class Background:
    """A block during which run() goes on in a thread of its own; `over` is set at its end."""

    def __init__(self):
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        raise NotImplementedError

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Crowd(Background):
    """Moves its clients until the end of the block."""

    def __init__(self, clients):
        super().__init__()
        self.clients = list(clients)

    def run(self):
        while not self.over.wait(STEP):
            for client in self.clients:
                with contextlib.suppress(ConnectionError):
                    client.step()

    def __exit__(self, *_):
        super().__exit__()
        for client in self.clients:
            client.close()


class Storm(Background):
    """Sends requests without waiting for answers, over many connections, as fast as the server takes them."""

    def __init__(self, address, request, connections=64, batch=200):
        super().__init__()
        self.address, self.request, self.connections, self.batch = address, request, connections, batch
        self.bytes = 0
        self.answers = {}

    def run(self):
        selector = selectors.DefaultSelector()
        block = self.request * self.batch
        links = [socket.create_connection(self.address) for _ in range(self.connections)]
        for link in links:
            link.setblocking(False)
            selector.register(link, selectors.EVENT_READ | selectors.EVENT_WRITE, [b""])
        while not self.over.is_set():
            for key, events in selector.select(0.1):
                self.serve(key, events, block)
        for link in links:
            link.close()

    def serve(self, key, events, block):
        rest = key.data
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if events & selectors.EVENT_READ:
                data = key.fileobj.recv(262144)
                self.bytes += len(data)
                for status in (b"200", b"503"):
                    self.answers[status] = self.answers.get(status, 0) + data.count(b"HTTP/1.1 " + status)
            if events & selectors.EVENT_WRITE:
                out = rest[0] or block
                rest[0] = out[key.fileobj.send(out):]


class PacedPull(Background):
    """Reads a body at `rate` bytes a second, as a client on a slow line does."""

    def __init__(self, address, path, rate):
        super().__init__()
        self.address, self.path, self.rate = address, path, rate
        self.received = 0

    def run(self):
        with socket.create_connection(self.address, timeout=30) as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            link.sendall(f"GET {self.path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            began = time.monotonic()
            while not self.over.is_set():
                ahead = self.received / self.rate - (time.monotonic() - began)
                if ahead > 0 and self.over.wait(ahead):
                    break
                data = link.recv(65536)
                if not data:
                    break
                self.received += len(data)


def memory_mib(process, key="VmRSS"):
    with open(f"/proc/{process.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key + ":")) / 1024


def threads(process):
    return len(os.listdir(f"/proc/{process.process.pid}/task"))


def metric(process, port, name, **labels):
    """The sum of the samples of that name that have these labels."""
    text = process.request(port, "GET", "/metrics")[2].decode()
    total = 0.0
    for line in text.splitlines():
        head, _, value = line.rpartition(" ")
        if head.partition("{")[0] == name and all(f'{key}="{text}"' in head for key, text in labels.items()):
            total += float(value)
    return total
