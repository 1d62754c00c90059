"""Peers that lie: they claim to have a blob, and what they do when they are asked for it is never right."""

import contextlib
import socket
import struct
import threading
import time

import p2p_wire as wire

# What the handshake says in place of a full bitfield.
BITFIELDS = {
    "bits beyond the end": lambda blob: wire.encode_bits([*range(blob.count), blob.count], blob.count),
    "longer bitfield": lambda blob: wire.encode_bits(range(blob.count + 1), blob.count + 1),
    "gigantic bitfield": lambda blob: struct.pack(">Q", 1 << 60),
    "cut bitfield": lambda blob: wire.encode_bits(range(blob.count), blob.count)[:-1],
}

ENDLESS = (1 << 64) - 1
# What the handshake of those says that speak the extension: queued, rate.
LOADS = {"boast": (0, ENDLESS), "idle": (0, ENDLESS), "busy": (ENDLESS, 1), "reports": (0, 1)}


class Liar:
    """`lie`: one of BITFIELDS, or how requests are answered:

    "bytes" (wrong ones), "length" (of another piece), "message" (longer than allowed), "silence", "refusal" (ERROR
    for each), "stall" (half a payload), "trickle" (a payload byte by byte), "twice" (each piece two times),
    "unasked" (all pieces at once, asked for or not), "announces" (without an end), "junk" (types nobody knows),
    "boast" (says that it is idle and has the fastest of links, and declines), "idle" (the same, and silence),
    "busy" (says that it is busy for ever), "reports" (of its load, without an end).
    """

    def __init__(self, address, blob, lie, peer_id=None):
        self.blob, self.lie = blob, lie
        self.peer_id = peer_id or wire.new_peer_id()
        self.requests = self.handshakes = 0
        self.stopped = False
        self.socket = socket.create_server((address, 0))
        threading.Thread(target=self.accept, daemon=True).start()

    def announce(self, tracker):
        wire.announce(tracker, self.blob, self.peer_id, self.socket.getsockname(), True)

    def stop(self):
        self.stopped = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def accept(self):
        while not self.stopped:
            try:
                link, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def serve(self, link):
        try:
            wire.read_frame(link)
            self.handshakes += 1
            bits = BITFIELDS[self.lie](self.blob) if self.lie in BITFIELDS else None
            hello = wire.handshake(self.blob, self.peer_id, range(self.blob.count), bits=bits)
            link.sendall(wire.extended(hello, *LOADS[self.lie], version=1) if self.lie in LOADS else hello)
            while not self.stopped:
                fields = wire.parse(wire.read_frame(link))
                if fields[2] == [wire.PIECE_REQUEST]:
                    request = wire.parse(fields[4][0])
                    self.requests += 1
                    self.answer(link, request[2][0] if request[2] else 0, request[4][0])
        except OSError:
            link.close()

    def answer(self, link, index, length):
        header = wire.piece_message(wire.PIECE_PAYLOAD, index, length)
        if self.lie == "message":
            link.sendall(struct.pack(">I", wire.LONGEST_MESSAGE + 1))
        elif self.lie == "bytes":
            link.sendall(header + b"\0" * length)
        elif self.lie == "length":
            link.sendall(wire.piece_message(wire.PIECE_PAYLOAD, index, length - 1) + b"\0" * (length - 1))
        elif self.lie == "refusal":
            link.sendall(wire.error_message(index, "piece not complete"))
        elif self.lie == "stall":
            link.sendall(header + self.blob.piece(index)[:length // 2])
        elif self.lie == "trickle":
            link.sendall(header)
            for byte in self.blob.piece(index):
                link.sendall(bytes([byte]))
                time.sleep(0.05)  # the peer's own slowness
                if self.stopped:
                    return
        elif self.lie == "twice":
            link.sendall((header + self.blob.piece(index)) * 2)
        elif self.lie == "unasked":
            for every in range(self.blob.count):
                link.sendall(wire.piece_message(wire.PIECE_PAYLOAD, every, self.blob.size(every)) +
                             self.blob.piece(every))
        elif self.lie == "announces":
            flood = b"".join(wire.piece_message(wire.ANNOUNCE_PIECE, i) for i in range(self.blob.count)) * 200
            while not self.stopped:
                link.sendall(flood)
        elif self.lie == "boast":
            link.sendall(wire.extended(wire.piece_message(wire.CANCEL_PIECE, index), *LOADS["boast"]))
        elif self.lie == "reports":
            while not self.stopped:
                link.sendall(wire.extended(wire.frame(wire.number(2, wire.LOAD_REPORT)), 0, ENDLESS) * 1000)
        elif self.lie == "junk":
            link.sendall((wire.frame(b"\x10\x7f") + wire.message(wire.CANCEL_PIECE, b"\x10\xff\x7f")) * 10_000)
