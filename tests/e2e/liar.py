"""A peer that claims to have a blob and answers every request with a lie."""

import socket
import struct
import threading

import p2p_wire as wire


class Liar:
    """`lie`: "bytes" (wrong ones), "length" (of another piece), "message" (longer than allowed), "silence"."""

    def __init__(self, address, blob, lie):
        self.blob, self.lie = blob, lie
        self.peer_id = bytes(range(20)).hex()
        self.requests = 0
        self.socket = socket.create_server((address, 0))
        threading.Thread(target=self.accept, daemon=True).start()

    def announce(self, tracker):
        wire.announce(tracker, self.blob, self.peer_id, self.socket.getsockname(), True)

    def accept(self):
        while True:
            link, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def serve(self, link):
        try:
            wire.read_frame(link)
            link.sendall(wire.handshake(self.blob, self.peer_id, range(self.blob.count)))
            while True:
                fields = wire.parse(wire.read_frame(link))
                if fields[2] == [wire.PIECE_REQUEST]:
                    request = wire.parse(fields[4][0])
                    self.requests += 1
                    self.answer(link, request[2][0] if request[2] else 0, request[4][0])
        except OSError:
            link.close()

    def answer(self, link, index, length):
        if self.lie == "silence":
            return
        if self.lie == "message":
            link.sendall(struct.pack(">I", wire.LONGEST_MESSAGE + 1))
            return
        length -= self.lie == "length"
        link.sendall(wire.piece_message(wire.PIECE_PAYLOAD, index, length) + b"\0" * length)
