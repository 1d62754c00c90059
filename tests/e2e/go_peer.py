"""A peer that behaves as the reference's do, bugs included, and takes offence at whatever would crash one.

Nothing of krakend is in it: the wire code is that of p2p_wire. Where the reference's process would die or be
poisoned, the fake notes an offence; the tests end with `content()`.
"""

import contextlib
import http.server
import json
import queue
import socket
import threading
import time
import zlib

import p2p_wire as wire

HANDSHAKE_TIMEOUT = 5  # seconds
PIPELINE, ORIGIN_PIPELINE = 3, 5
ENDGAME_THRESHOLD = 3


class Peer:
    """The other end of one connection. One reader and one writer thread, as in the reference."""

    def __init__(self, owner, link, peer_id, have, origin=False):
        self.owner, self.link, self.peer_id, self.have, self.origin = owner, link, peer_id, set(have), origin
        self.asked = {}  # piece → when
        self.ever_asked = set()
        self.out = queue.Queue()
        self.dead = False

    def start(self):
        for work in (self.write, self.read):
            threading.Thread(target=self.owner.watched(work), daemon=True).start()

    def write(self):
        while True:
            part = self.out.get()
            try:
                if part is None:
                    self.link.shutdown(socket.SHUT_RDWR)
                    return
                self.send(part)
            except OSError:
                return

    def send(self, part):
        """At the owner's rate; a link that is slow is slow for each of its parts."""
        step = len(part) if self.owner.rate is None else max(1, self.owner.rate // 10)
        for at in range(0, len(part), step):
            self.link.sendall(part[at:at + step])
            if self.owner.rate is not None and self.owner.stop.wait(0.1):
                return

    def read(self):
        try:
            while True:
                data = wire.read_frame(self.link)
                if self.dead:
                    break
                self.owner.on_message(self, data)
        except OSError:
            pass
        finally:
            self.owner.forget(self)
            self.close()
            self.link.close()

    def close(self):
        """What is queued still goes out."""
        self.dead = True
        self.out.put(None)

    def cut(self):
        self.dead = True
        try:
            self.link.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.out.put(None)


class GoPeer:
    """One torrent of a reference agent or origin.

    `rate`: bytes a second of each of its links.
    `seeder_tti`: seconds after which a complete torrent is forgotten and all its connections are cut, used or not
    (300 in the reference). `cut_after`: pieces sent in full; in the middle of the next one the connection ends, once.
    """

    def __init__(self, address, blob, complete=True, origin=False, max_open_conn=10, seeder_tti=300.0,
                 blacklist_duration=30.0, request_timeout=16.0, cut_after=None, peer_id=None,
                 rate=None):
        self.blob, self.origin, self.rate = blob, origin, rate
        self.pieces = {i: blob.piece(i) for i in range(blob.count)} if complete else {}
        self.max_open_conn, self.seeder_tti, self.cut_after = max_open_conn, seeder_tti, cut_after
        self.blacklist_duration, self.request_timeout = blacklist_duration, request_timeout
        self.peer_id = peer_id or wire.new_peer_id()
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.peers, self.blacklist, self.offences = {}, {}, []
        self.handshakes = self.refused = self.cuts = self.served = 0
        self.asked_of_me = []  # pieces, in order
        self.seeding_since = None
        self.stop = threading.Event()
        self.reopen((address, 0))

    def reopen(self, address):
        """Listens, again after its socket was closed."""
        self.socket = socket.create_server(address)
        self.address = self.socket.getsockname()
        threading.Thread(target=self.watched(self.accept), args=(self.socket,), daemon=True).start()

    def vanish(self):
        """Nobody can connect; what is connected stays."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # close() alone would leave accept() waiting, and the port open
        self.socket.close()

    def watched(self, work):
        """A fault of the fake, or of what it was sent, must not end in silence."""
        def run(*arguments):
            try:
                work(*arguments)
            except Exception as error:
                self.offend(f"{work.__name__}: {error!r}")
        return run

    def offend(self, what):
        with self.lock:
            self.offences.append(what)
            self.changed.notify_all()

    def content(self):
        """The test fails when the fake was sent what a reference peer does not survive."""
        self.stop.set()
        self.vanish()
        for peer in list(self.peers.values()):
            peer.cut()
        assert self.offences == []

    def complete(self):
        return len(self.pieces) == self.blob.count

    def await_complete(self, limit=30):
        with self.changed:
            assert self.changed.wait_for(lambda: self.complete() or self.offences, limit), sorted(self.pieces)
        assert self.offences == []
        return b"".join(self.pieces[i] for i in range(self.blob.count))

    def await_that(self, condition, limit=30):
        with self.changed:
            assert self.changed.wait_for(condition, limit)

    # Handshakes.

    def check_handshake(self, data):
        """The fields of a BITFIELD message, or Broken where the reference closes."""
        fields = wire.parse(data)
        if fields[2] not in ([], [0]) or not fields[3]:
            raise wire.Broken("first message is no bitfield")
        body = wire.parse(fields[3][-1])
        info_hash, name, peer_id = (body[field][-1].decode() for field in (2, 3, 4))
        have, count = wire.decode_bits(body[5][-1])
        if any(bit >= self.blob.count for bit in have):
            self.offend(f"piece {max(have)} of {self.blob.count} in a bitfield")
        if count != self.blob.count:
            self.offend(f"bitfield of {count} bits for {self.blob.count} pieces")
        for entry in body[7]:
            pair = wire.parse(entry)
            if len(bytes.fromhex(pair[1][-1].decode())) != 20:
                raise wire.Broken("remote peer id")
            wire.decode_bits(pair[2][-1])
        namespace = body[6][-1].decode() if body[6] else ""
        if name == self.blob.name and info_hash != self.blob.info_hash:
            self.offend(f"info hash {info_hash}: a slot leaks")
        return name, peer_id, have, namespace

    def accept(self, listener):
        while not self.stop.is_set():
            try:
                link, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.watched(self.greet), args=(link,), daemon=True).start()

    def greet(self, link):
        link.settimeout(HANDSHAKE_TIMEOUT)
        try:
            name, peer_id, have, _ = self.check_handshake(wire.read_frame(link))
        except (OSError, wire.Broken):
            link.close()  # silently
            return
        with self.lock:
            self.handshakes += 1
            full = len(self.peers) >= self.max_open_conn
            if full or peer_id in self.peers or name != self.blob.name:
                self.refused += 1
                self.changed.notify_all()
                link.close()  # without a reply
                return
            # An accepted peer is never known to be an origin.
            peer = self.add(link, peer_id, have, origin=False, reply=True)
        peer.start()

    def add(self, link, peer_id, have, origin, reply):
        neighbours = list(self.peers)
        peer = self.peers[peer_id] = Peer(self, link, peer_id, have, origin)
        link.settimeout(None)
        if reply:
            peer.out.put(wire.handshake(self.blob, self.peer_id, self.pieces, "", neighbours))
        if self.complete() and self.seeding_since is None:
            self.seeding_since = time.monotonic()
            timer = threading.Timer(self.seeder_tti, self.watched(self.stop_seeding))
            timer.daemon = True
            timer.start()
        self.ask(peer)
        self.changed.notify_all()
        return peer

    def dial(self, address, peer_id, origin=False, namespace="t/app"):
        """As opener. False where the reference blacklists."""
        try:
            link = socket.create_connection(address, timeout=HANDSHAKE_TIMEOUT)
            with self.lock:
                link.sendall(wire.handshake(self.blob, self.peer_id, self.pieces, namespace, list(self.peers)))
            _, theirs, have, _ = self.check_handshake(wire.read_frame(link))
        except (OSError, wire.Broken):
            return False
        if theirs != peer_id:
            link.close()
            return False
        with self.lock:
            peer = self.add(link, theirs, have, origin, reply=False)
        peer.start()
        return True

    def pull(self, tracker, limit=60):
        """Announces and dials until the blob is whole; returns it."""
        deadline = time.monotonic() + limit
        while not self.complete() and time.monotonic() < deadline and not self.offences:
            found, interval = wire.announce(tracker, self.blob, self.peer_id, self.address, False)
            for other in found:
                peer_id = bytes(other["peer_id"]).hex()
                with self.lock:
                    known = peer_id == self.peer_id or peer_id in self.peers
                    if known or self.blacklist.get(peer_id, 0) > time.monotonic():
                        continue
                    if len(self.peers) >= self.max_open_conn:
                        break
                if not self.dial((other["ip"], other["port"]), peer_id, other["origin"]):
                    self.blacklist[peer_id] = time.monotonic() + self.blacklist_duration
            with self.changed:
                self.changed.wait_for(lambda: self.complete() or self.offences, interval)
            self.retry()
        whole = self.await_complete(0)
        wire.announce(tracker, self.blob, self.peer_id, self.address, True)
        return whole

    def announce_complete(self, tracker):
        wire.announce(tracker, self.blob, self.peer_id, self.address, True)

    # The end of connections.

    def stop_seeding(self):
        """The reference counts from the torrent's creation: connections in use are cut as well."""
        with self.lock:
            self.seeding_since = None
            self.cuts += len(self.peers)
            for peer in self.peers.values():
                peer.cut()
            self.changed.notify_all()

    def forget(self, peer):
        with self.lock:
            if self.peers.get(peer.peer_id) is peer:
                del self.peers[peer.peer_id]
                self.blacklist[peer.peer_id] = time.monotonic() + self.blacklist_duration
            self.changed.notify_all()

    # Messages.

    def on_message(self, peer, data):
        try:
            fields = wire.parse(data)
        except wire.Broken as broken:
            raise OSError(str(broken)) from None  # the reference closes
        kind = fields[2][-1] if fields[2] else wire.BITFIELD
        bodies = fields[wire.BODY.get(kind, 0)]
        if kind in (wire.PIECE_REQUEST, wire.PIECE_PAYLOAD, wire.ANNOUNCE_PIECE, wire.ERROR) and not bodies:
            return self.offend(f"message of type {kind} without its body")
        body = wire.parse(bodies[-1]) if bodies else {}

        def of(field):
            value = body[field][-1] if body.get(field) else 0
            if isinstance(value, int) and not 0 <= value < 1 << 31:
                self.offend(f"number {value} in a message of type {kind}")
            return value
        if kind == wire.PIECE_REQUEST:
            self.on_request(peer, of(2), of(3), of(4))
        elif kind == wire.PIECE_PAYLOAD:
            self.on_payload(peer, of(2), of(3), of(4))
        elif kind == wire.ANNOUNCE_PIECE:
            self.on_announce(peer, of(2))
        elif kind == wire.ERROR:
            self.on_error(peer, of(3))
        elif kind == wire.COMPLETE:
            self.on_complete(peer)
        elif kind == wire.BITFIELD:
            self.offend("a bitfield after the handshake")
        # CANCEL_PIECE and what it does not know: ignored.

    def on_request(self, peer, index, offset, length):
        blob = self.blob
        if index >= blob.count or offset or length != blob.size(index):
            # The reference answers ERROR; a peer of ours must not ask so.
            return self.offend(f"request of {length} bytes at {offset} of piece {index}")
        with self.lock:
            self.asked_of_me.append(index)
            if index not in self.pieces:
                peer.out.put(wire.error_message(index, "piece not complete"))
                return
            header = wire.piece_message(wire.PIECE_PAYLOAD, index, length)
            data = self.pieces[index]
            if self.cut_after is not None and self.served == self.cut_after:
                self.cut_after = None
                self.cuts += 1
                peer.out.put(header + data[:length // 2])
                peer.close()
                return
            self.served += 1
            peer.out.put(header + data)
            peer.have.add(index)  # assumed
            self.changed.notify_all()

    def on_payload(self, peer, index, offset, length):
        if index >= self.blob.count or offset or length != self.blob.size(index):
            self.offend(f"payload of {length} bytes at {offset} of piece {index}")
            raise OSError("cannot go on")
        data = wire.read_exact(peer.link, length)
        with self.lock:
            if index not in peer.ever_asked:
                self.offend(f"piece {index} that was not asked for")
            if index in self.pieces:
                peer.asked.pop(index, None)
                return
            if zlib.crc32(data) != self.blob.sums[index]:
                self.offend(f"piece {index} with a wrong sum")
                return
            self.pieces[index] = data
            for other in self.peers.values():
                other.asked.pop(index, None)
            if self.complete():
                self.finish()
            self.ask(peer)
            for other in self.peers.values():
                if other is not peer:
                    other.out.put(wire.piece_message(wire.ANNOUNCE_PIECE, index))
            self.changed.notify_all()

    def finish(self):
        for other in list(self.peers.values()):
            if len(other.have) == self.blob.count:
                other.close()
            else:
                other.out.put(wire.message(wire.COMPLETE))

    def on_announce(self, peer, index):
        if index >= self.blob.count:
            return self.offend(f"announce of piece {index} of {self.blob.count}")
        with self.lock:
            peer.have.add(index)
            self.ask(peer)

    def on_error(self, peer, index):
        with self.lock:
            if index in peer.asked:
                peer.asked[index] = float("-inf")  # invalid: asked for elsewhere at the next look

    def on_complete(self, peer):
        with self.lock:
            if self.complete():
                return peer.close()
            peer.have.update(range(self.blob.count))
            self.ask(peer)

    # Requests: whole pieces, three to an agent, five to an origin, never taken back.

    def valid(self, peer, index, now):
        def pending(other):
            return now - other.asked.get(index, float("-inf")) <= self.request_timeout
        endgame = self.blob.count - len(self.pieces) <= ENDGAME_THRESHOLD
        return not any(pending(p) for p in ([peer] if endgame else self.peers.values()))

    def ask(self, peer):
        now = time.monotonic()
        open_requests = sum(now - at <= self.request_timeout for at in peer.asked.values())
        quota = (ORIGIN_PIPELINE if peer.origin else PIPELINE) - open_requests
        rarity = {i: sum(i in p.have for p in self.peers.values()) for i in peer.have}
        for index in sorted(peer.have - self.pieces.keys(), key=rarity.get):
            if quota <= 0:
                return
            if self.valid(peer, index, now):
                peer.asked[index] = now
                peer.ever_asked.add(index)
                quota -= 1
                peer.out.put(wire.piece_message(wire.PIECE_REQUEST, index, self.blob.size(index)))

    def retry(self):
        with self.lock:
            for peer in list(self.peers.values()):
                self.ask(peer)


class GoOrigin(GoPeer):
    """With the HTTP endpoints that a tracker asks."""

    def __init__(self, address, blob, **options):
        super().__init__(address, blob, origin=True, **options)
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, headers, body = 200, {}, b""
                if self.path.endswith("/locations"):
                    headers["Origin-Locations"] = origin.http
                elif self.path == "/internal/peercontext":
                    body = json.dumps({"ip": address, "port": origin.address[1],
                                       "peer_id": list(bytes.fromhex(origin.peer_id)), "zone": "", "cluster": "",
                                       "origin": True}).encode() + b"\n"
                elif self.path.endswith("/metainfo") and blob.name in self.path:
                    body = blob.metainfo().encode()
                elif self.path in ("/health", "/readiness"):
                    body = b"OK\n"
                else:
                    status = 404
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.http = "%s:%d" % self.server.server_address
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def content(self):
        self.server.shutdown()
        self.server.server_close()
        super().content()
