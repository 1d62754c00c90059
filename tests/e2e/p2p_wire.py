"""The peer protocol written by hand from its description: frames, messages, bitfields, a blob cut into pieces."""

import collections
import hashlib
import json
import os
import socket
import struct
import urllib.parse
import urllib.request
import zlib

LONGEST_MESSAGE = 32 * 1024
BITFIELD, PIECE_REQUEST, PIECE_PAYLOAD, ANNOUNCE_PIECE, CANCEL_PIECE, ERROR, COMPLETE = range(7)
LOAD_REPORT = 100
BODY = {BITFIELD: 3, PIECE_REQUEST: 4, PIECE_PAYLOAD: 5, ANNOUNCE_PIECE: 6, CANCEL_PIECE: 7, ERROR: 8, COMPLETE: 9}


class Broken(Exception):
    """What came is not what the protocol allows."""


def varint(value):
    value &= 0xFFFFFFFFFFFFFFFF  # negative numbers take ten bytes
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def number(field, value):
    return varint(field << 3) + varint(value) if value else b""


def frame(body):
    return struct.pack(">I", len(body)) + body


def message(kind, body=b""):
    """A frame; the body is there even when it is empty, as every receiver wants it."""
    return frame(number(2, kind) + (text(BODY[kind], body) if kind != COMPLETE else b""))


def piece_message(kind, index, length=0, offset=0):
    return message(kind, number(2, index) + number(3, offset) + number(4, length))


def extended(frame_of_peer, queued=0, rate=0, version=0):
    """The frame with what krakend says beyond the protocol (docs/swarm-extension.md): its load, and its version."""
    return frame(frame_of_peer[4:] + text(100, number(1, version) + varint(2 << 3) + varint(queued) +
                                          varint(3 << 3) + varint(rate)))


def error_message(index, why):
    return message(ERROR, text(2, why) + number(3, index))


def parse(data):
    """Field number → values in order; numbers as signed 64 bits."""
    found = collections.defaultdict(list)
    at = 0

    def take_varint():
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(data) or shift > 63:
                raise Broken("cut varint")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value - (1 << 64) if value >> 63 else value

    while at < len(data):
        tag = take_varint()
        kind = tag & 7
        if kind == 0:
            value = take_varint()
        elif kind in (1, 2, 5):
            size = take_varint() if kind == 2 else 8 if kind == 1 else 4
            if not 0 <= size <= len(data) - at:
                raise Broken("cut field")
            value = data[at:at + size]
            at += size
        else:
            raise Broken(f"wire type {kind}")
        found[tag >> 3].append(value)
    return found


def encode_bits(bits, count):
    words = [0] * (-(-count // 64))
    for bit in bits:
        words[bit // 64] |= 1 << bit % 64
    return struct.pack(f">Q{len(words)}Q", count, *words)


def decode_bits(data):
    """The set bits, and how many bits there are."""
    if len(data) < 8:
        raise Broken("bitfield without a length")
    count = struct.unpack_from(">Q", data)[0]
    if len(data) - 8 < -(-count // 64) * 8:
        raise Broken("bitfield without its words")
    words = struct.unpack_from(f">{-(-count // 64)}Q", data, 8)
    return {at * 64 + bit for at, word in enumerate(words) for bit in range(64) if word >> bit & 1}, count


class Blob:
    """A blob and how it is cut."""

    def __init__(self, name, length, piece_length, sums, data=None):
        self.name, self.length, self.piece_length, self.sums, self.data = name, length, piece_length, sums, data
        bencoded = (f"d6:Lengthi{length}e4:Name64:{name}11:PieceLengthi{piece_length}e9:PieceSumsl" +
                    "".join(f"i{s}e" for s in sums) + "ee")
        self.info_hash = hashlib.sha1(bencoded.encode()).hexdigest()
        self.digest = "sha256:" + name
        self.count = len(sums)

    @staticmethod
    def cut(data, piece_length):
        pieces = [data[at:at + piece_length] for at in range(0, len(data), piece_length)]
        return Blob(hashlib.sha256(data).hexdigest(), len(data), piece_length, [zlib.crc32(p) for p in pieces], data)

    @staticmethod
    def of_tracker(tracker, digest, data=None, repo="t/app"):
        """`tracker`: (host, port)."""
        place = f"http://{tracker[0]}:{tracker[1]}/namespace/{urllib.parse.quote(repo, safe='')}/blobs/{digest}/metainfo"
        info = json.load(urllib.request.urlopen(place, timeout=20))["Info"]
        return Blob(info["Name"], info["Length"], info["PieceLength"], info["PieceSums"], data)

    def metainfo(self):
        return json.dumps({"Info": {"PieceLength": self.piece_length, "PieceSums": self.sums, "Name": self.name,
                                    "Length": self.length}})

    def size(self, index):
        return min(self.piece_length, self.length - index * self.piece_length)

    def piece(self, index):
        return self.data[index * self.piece_length:][:self.size(index)]


def handshake(blob, peer_id, have, namespace="", neighbours=(), info_hash=None, bits=None):
    """A BITFIELD frame. `bits`: other bytes than those of `have`."""
    body = text(2, info_hash or blob.info_hash) + text(3, blob.name) + text(4, peer_id)
    body += text(5, encode_bits(have, blob.count) if bits is None else bits)
    if namespace:
        body += text(6, namespace)
    for neighbour in neighbours:
        body += text(7, text(1, neighbour) + text(2, encode_bits((), 0)))
    return message(BITFIELD, body)


def new_peer_id():
    return os.urandom(20).hex()


def announce(tracker, blob, peer_id, address, complete):
    """The peers that the tracker hands out, and the interval in seconds."""
    body = {"name": blob.name, "digest": blob.digest, "info_hash": list(bytes.fromhex(blob.info_hash)),
            "peer": {"peer_id": list(bytes.fromhex(peer_id)), "ip": address[0], "port": address[1], "origin": False,
                     "complete": complete}}
    request = urllib.request.Request(f"http://{tracker[0]}:{tracker[1]}/announce/{blob.info_hash}",
                                     json.dumps(body).encode(), method="POST")
    answer = json.load(urllib.request.urlopen(request, timeout=20))
    return answer["peers"] or [], answer["interval"] / 1e9


def read_exact(link, size):
    data = bytearray()
    while len(data) < size:
        part = link.recv(min(size - len(data), 1 << 20))
        if not part:
            raise ConnectionError("closed")
        data += part
    return bytes(data)


def read_frame(link):
    """The protobuf bytes of the next message."""
    size = struct.unpack(">I", read_exact(link, 4))[0]
    if size > LONGEST_MESSAGE:
        raise Broken(f"message of {size} bytes")
    return read_exact(link, size)


def connect(address, blob, peer_id, have=(), limit=5):
    """A link to a peer that has answered the handshake."""
    link = socket.create_connection(address, timeout=limit)
    link.sendall(handshake(blob, peer_id, have, "t/app"))
    read_frame(link)
    return link
