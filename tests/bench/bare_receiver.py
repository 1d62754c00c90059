#!/usr/bin/env python3
"""What receiving a blob costs at least: recv, pwrite and SHA-256, nothing else. No CRC-32, no protocol, nobody served.

usage: bare_receiver.py PORT PATH FILE
"""
import hashlib
import os
import socket
import sys

PART = 256 * 1024  # what krakend receives at a time


def main(port, path, file):
    with socket.create_connection(("127.0.0.1", int(port))) as stream, open(file, "wb", buffering=0) as output:
        stream.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        buffer = bytearray(PART)
        view = memoryview(buffer)
        digest = hashlib.sha256()
        while got := stream.recv_into(buffer, PART, socket.MSG_WAITALL):
            os.write(output.fileno(), view[:got])
            digest.update(view[:got])


if __name__ == "__main__":
    main(*sys.argv[1:])
