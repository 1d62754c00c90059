"""A peer that claims to have a blob and answers every request with a lie."""

import json
import socket
import struct
import threading
import urllib.request


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def frame(body):
    return struct.pack(">I", len(body)) + body


LONGEST_MESSAGE = 32 * 1024


class Liar:
    """`lie`: "bytes" (wrong ones), "length" (of another piece), "message" (longer than allowed), "silence"."""

    def __init__(self, address, info, info_hash, lie):
        self.peer_id = bytes(range(20))
        self.lie = lie
        self.requests = 0
        self.socket = socket.create_server((address, 0))
        pieces = len(info["PieceSums"])
        words = b"".join(struct.pack(">Q", (1 << min(64, pieces - at)) - 1) for at in range(0, pieces, 64))
        self.handshake = frame(text(3, text(2, info_hash.encode()) + text(3, info["Name"].encode()) +
                                    text(4, self.peer_id.hex().encode()) + text(5, struct.pack(">Q", pieces) + words)))
        threading.Thread(target=self.accept, daemon=True).start()

    def announce(self, tracker, info, info_hash):
        host, port = self.socket.getsockname()
        body = {"name": info["Name"], "digest": "sha256:" + info["Name"], "info_hash": list(bytes.fromhex(info_hash)),
                "peer": {"peer_id": list(self.peer_id), "ip": host, "port": port, "origin": False, "complete": True}}
        request = urllib.request.Request(f"http://{tracker}/announce/{info_hash}", json.dumps(body).encode(),
                                         method="POST")
        assert urllib.request.urlopen(request).status == 200

    def accept(self):
        while True:
            link, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def read(self, link):
        size = struct.unpack(">I", link.recv(4, socket.MSG_WAITALL))[0]
        return link.recv(size, socket.MSG_WAITALL)

    def serve(self, link):
        try:
            self.read(link)
            link.sendall(self.handshake)
            while True:
                message = self.read(link)
                if message[:2] != b"\x10\x01":  # PIECE_REQUEST
                    continue
                self.requests += 1
                if self.lie == "silence":
                    continue
                if self.lie == "message":
                    link.sendall(struct.pack(">I", LONGEST_MESSAGE + 1))
                    continue
                fields = message[4:]  # behind the tag and length of the body: index, length
                index, length, at = b"", 0, 0
                while at < len(fields):
                    tag, start = fields[at], at + 1
                    at = start
                    while fields[at] & 0x80:
                        at += 1
                    at += 1
                    if tag == 0x20:
                        length = sum((b & 0x7F) << 7 * i for i, b in enumerate(fields[start:at]))
                    if tag == 0x10:
                        index = fields[start - 1:at]
                length -= self.lie == "length"
                link.sendall(frame(b"\x10\x02" + text(5, index + b"\x20" + varint(length))) + b"\0" * length)
        except (OSError, struct.error, IndexError):
            link.close()
