# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand (RFC 9113), so that a test decides every octet: frames, a client, a server.

    with Client(gw.address) as c:                 # preface, SETTINGS; PING and SETTINGS are acknowledged
        answer = c.ask("GET", "/")                # answer.status, .fields, .body, .trailers, .reset
        c.headers(3, request("POST", "/"), end=False)
        c.frame(DATA, 0, 3, b"x" * 70000)         # whatever a decent peer would not send
        c.wait_goaway()                           # the error code; c.read() is one frame

    def slow(x):                                  # one stream; a thread of its own
        x.body()                                  # all of it; x.fields, x.path, x.trailers
        x.respond(200, [("a", "b")], b"body", trailers=[("t", "1")])
        x.reset(CANCEL); x.conn.frame(GOAWAY, 0, 0, ...)
    with Server(slow) as b: ... b.url, b.requests, b.conns

The field blocks are python3-hpack's; Session is a client of python3-h2, which judges what it is sent. (This
file may not be called h2.py: it would hide that library.)
"""
import collections
import json
import queue
import socket
import struct
import threading
import time

import h2.config
import h2.connection
import h2.events
import hpack

from ports import free_port, release

TIMEOUT = 15.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
NAMES = ("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY",
         "WINDOW_UPDATE", "CONTINUATION")
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY_FLAG = 1, 1, 4, 8, 32
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, \
    MAX_HEADER_LIST_SIZE, ENABLE_CONNECT_PROTOCOL = 1, 2, 3, 4, 5, 6, 8
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, \
    FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(12)
WINDOW = 65535


class H2Error(Exception):
    """The peer did what no case expects, or nothing in time."""


class Frame(collections.namedtuple("Frame", "type flags stream payload")):
    def __repr__(self):
        name = NAMES[self.type] if self.type < len(NAMES) else self.type
        return f"<{name} {self.flags:#x} stream {self.stream} {len(self.payload)} octets {self.payload[:40]!r}>"

    @property
    def code(self):
        """Of RST_STREAM and GOAWAY."""
        at = 4 if self.type == GOAWAY else 0
        return struct.unpack_from(">I", self.payload, at)[0]

    @property
    def last(self):
        return struct.unpack_from(">I", self.payload)[0] & 0x7fffffff

    @property
    def content(self):
        """Payload of DATA and field blocks, padding and priority off."""
        data = self.payload
        if self.flags & PADDED and self.type in (DATA, HEADERS, PUSH_PROMISE):
            data = data[1:len(data) - data[0]]
        return data[5:] if self.type == HEADERS and self.flags & PRIORITY_FLAG else data


def octets(type, flags, stream, payload=b"", length=None):
    """A frame; `length`: what its head claims."""
    n = len(payload) if length is None else length
    return struct.pack(">I", n)[1:] + struct.pack(">BBI", type, flags, stream) + payload


def settings_octets(pairs=(), flags=0, stream=0):
    pairs = pairs.items() if hasattr(pairs, "items") else pairs
    return octets(SETTINGS, flags, stream, b"".join(struct.pack(">HI", k, v) for k, v in pairs))


def literal(name, value, prefix=b"\x00"):
    """A field as HPACK's literal without indexing: any octets at all."""
    def text(s):
        s = s if isinstance(s, bytes) else s.encode("latin-1")
        return integer(len(s), 7) + s
    return prefix + text(name) + text(value)


def integer(n, bits, first=0):
    """RFC 7541 5.1."""
    top = (1 << bits) - 1
    if n < top:
        return bytes([first | n])
    out, n = bytearray([first | top]), n - top
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def block(fields):
    """A field block of literals only: it neither needs nor changes a table."""
    return b"".join(literal(n, v) for n, v in (fields.items() if hasattr(fields, "items") else fields))


def request(method="GET", path="/", *fields, authority="test.example", scheme="http"):
    """The fields of a request; None leaves a pseudo field out."""
    pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
    return [(n, v) for n, v in pseudo if v is not None] + list(fields)


class Answer:
    """One message as it came."""

    def __init__(self):
        self.heads, self.fields, self.trailers = [], [], []
        self.body = b""
        self.ended, self.reset, self.goaway = False, None, None

    @property
    def status(self):
        value = self.get(":status")
        return int(value) if value else None

    @property
    def interim(self):
        return [int(dict(h)[":status"]) for h in self.heads[:-1] if dict(h).get(":status", "200")[0] == "1"]

    def get(self, name, default=None):
        return next((v for n, v in self.fields if n == name), default)

    def all(self, name):
        return [v for n, v in self.fields if n == name]

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.fields} {len(self.body)} octets {self.body[:100]!r} trailers {self.trailers} " \
               f"ended {self.ended} reset {self.reset} goaway {self.goaway}>"


class Conn:
    """Either end, on a connected socket. auto: SETTINGS and PING are acknowledged, windows renewed."""

    def __init__(self, sock, auto=True, credit=True):
        self.sock, self.auto, self.credit = sock, auto, credit
        self.buf = b""
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 24
        self.lock = threading.RLock()
        self.room = threading.Condition(self.lock)
        self.peer = {}                     # its settings
        self.sent = 0                      # payload octets, all streams
        self.window = WINDOW               # what we may still send
        self.windows = collections.defaultdict(lambda: self.peer.get(INITIAL_WINDOW_SIZE, WINDOW))
        self.seen = []                     # every frame read
        self.goaway = None
        self.eof = False
        self._block = None

    # --- out --------------------------------------------------------------------------------------
    def send(self, data):
        with self.lock:
            self.sock.sendall(data)
        return self

    def frame(self, type, flags=0, stream=0, payload=b"", length=None):
        return self.send(octets(type, flags, stream, payload, length))

    def settings(self, pairs=(), flags=0, stream=0):
        return self.send(settings_octets(pairs, flags, stream))

    def headers(self, stream, fields, end=True, flags=0, block_size=16384, raw=False):
        """HEADERS, and CONTINUATION where it is long. raw: `fields` is the block."""
        with self.lock:
            data = fields if raw else self.encoder.encode([(n, v) for n, v in fields], huffman=False)
            parts = [data[i:i + block_size] for i in range(0, len(data), block_size)] or [b""]
            out = b""
            for i, part in enumerate(parts):
                whole = END_HEADERS if i == len(parts) - 1 else 0
                out += octets(CONTINUATION if i else HEADERS, whole | (0 if i else flags | (END_STREAM if end else 0)),
                              stream, part)
            return self.send(out)

    def data(self, stream, payload=b"", end=True):
        """One DATA frame, whatever the windows say."""
        with self.lock:
            self.window -= len(payload)
            self.windows[stream] -= len(payload)
            return self.frame(DATA, END_STREAM if end else 0, stream, payload)

    def rst(self, stream, code=CANCEL):
        return self.frame(RST_STREAM, 0, stream, struct.pack(">I", code))

    def update(self, stream, n):
        return self.frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", n))

    def ping(self, payload=b"12345678", flags=0):
        return self.frame(PING, flags, 0, payload)

    def bye(self, last=0, code=NO_ERROR, debug=b""):
        return self.frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + debug)

    # --- in ---------------------------------------------------------------------------------------
    def _exactly(self, n):
        while len(self.buf) < n:
            more = self.sock.recv(1 << 18)
            if not more:
                return None
            self.buf += more
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def read(self, timeout=TIMEOUT):
        """The next frame; None at the end of the connection (a reset too)."""
        self.sock.settimeout(timeout)
        try:
            head = self._exactly(9)
            payload = head and self._exactly(int.from_bytes(head[:3], "big"))
        except socket.timeout:
            raise H2Error(f"nothing for {timeout} s after {self.seen[-5:]}") from None
        except (ConnectionError, OSError) as e:
            if isinstance(e, socket.timeout):
                raise
            head = None
        if head is None or payload is None:
            self.eof = True
            with self.room:
                self.room.notify_all()
            return None
        f = Frame(head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7fffffff, payload)
        self.seen.append(f if len(payload) < 4096 else f._replace(payload=payload[:16]))
        self._note(f)
        return f

    def _note(self, f):
        with self.room:
            if f.type == SETTINGS and not f.flags & ACK:
                for i in range(0, len(f.payload), 6):
                    key, value = struct.unpack_from(">HI", f.payload, i)
                    if key == INITIAL_WINDOW_SIZE:
                        by = value - self.peer.get(key, WINDOW)
                        for s in self.windows:
                            self.windows[s] += by
                    if key == HEADER_TABLE_SIZE:
                        self.encoder.header_table_size = min(value, 4096)
                    self.peer[key] = value
                if self.auto:
                    self._try(settings_octets(flags=ACK))
            elif f.type == PING and not f.flags & ACK and self.auto:
                self._try(octets(PING, ACK, 0, f.payload))
            elif f.type == WINDOW_UPDATE:
                n = struct.unpack(">I", f.payload)[0]
                if f.stream:
                    self.windows[f.stream] += n
                else:
                    self.window += n
            elif f.type == GOAWAY:
                self.goaway = f
            elif f.type == DATA and f.payload and self.credit:
                n = struct.pack(">I", len(f.payload))
                ended = b"" if f.flags & END_STREAM else octets(WINDOW_UPDATE, 0, f.stream, n)
                self._try(octets(WINDOW_UPDATE, 0, 0, n) + ended)
            self.room.notify_all()

    def _try(self, data):
        try:
            self.send(data)
        except OSError:
            pass  # it is leaving: what it still says is read

    def fields_of(self, f):
        """The fields when this frame completes a block, else None; blocks have to be taken in order."""
        self._block = f.content if f.type == HEADERS else (self._block or b"") + f.payload
        if not f.flags & END_HEADERS:
            return None
        done, self._block = self._block, None
        return [(n, v) if isinstance(n, str) else (n.decode("latin-1"), v.decode("latin-1"))
                for n, v in self.decoder.decode(done, raw=True)]

    def wait(self, want, timeout=TIMEOUT, what="a frame"):
        """Reads up to a frame that `want` holds for, and returns it; fields are decoded on the way."""
        end = time.monotonic() + timeout
        while True:
            f = self.read(max(end - time.monotonic(), 0.01))
            if f is None:
                raise H2Error(f"closed before {what}: {self.seen[-5:]}")
            if f.type in (HEADERS, CONTINUATION):
                self.fields_of(f)
            if want(f):
                return f

    def wait_type(self, type, stream=None, flags=0):
        return self.wait(lambda f: f.type == type and stream in (None, f.stream) and f.flags & flags == flags,
                         what=NAMES[type])

    def wait_goaway(self):
        """The code of the GOAWAY that comes before the end; -1 where it ended without one."""
        while self.read() is not None:
            pass
        return self.goaway.code if self.goaway else -1

    def synced(self):
        """Everything sent until now was looked at; the frames that came before the answer."""
        mark = struct.pack(">Q", time.monotonic_ns())
        first = len(self.seen)
        self.frame(PING, 0, 0, mark)
        self.wait(lambda f: f.type == PING and f.flags & ACK and f.payload == mark, what="PING's answer")
        return self.seen[first:]

    def take(self, stream, answer=None, timeout=TIMEOUT):
        """The message on a stream, up to its end, its reset, or the connection's."""
        return self.take_all([stream], {stream: answer or Answer()}, timeout)[stream]

    def take_all(self, streams, into=None, timeout=TIMEOUT, until=None):
        """{stream: Answer} of those; `until`(answers) stops early."""
        into = into or {s: Answer() for s in streams}
        open = {s for s in streams if not into[s].ended and into[s].reset is None}
        end = time.monotonic() + timeout
        for a in into.values():
            a.goaway = self.goaway
        while open and not (until and until(into)):
            f = self.read(max(end - time.monotonic(), 0.01))
            if f is None:
                break
            fields = self.fields_of(f) if f.type in (HEADERS, CONTINUATION) else None
            a = into.get(f.stream)
            if f.type == GOAWAY:
                for one in into.values():
                    one.goaway = f
            if a is None:
                continue
            if fields is not None:
                if a.fields and a.status >= 200:
                    a.trailers = fields
                else:
                    a.fields = fields
                    a.heads.append(fields)
            if f.type == DATA:
                a.body += f.content
            if f.type == RST_STREAM:
                a.reset = f.code
            # END_STREAM of a HEADERS frame counts, though CONTINUATION may still come
            if f.flags & END_STREAM and f.type in (DATA, HEADERS):
                a.ended = True
            if (a.ended and self._block is None) or a.reset is not None:
                open.discard(f.stream)
        return into

    def closed(self, timeout=TIMEOUT):
        """True where the peer closes, whatever it says before."""
        try:
            while self.read(timeout) is not None:
                pass
        except H2Error:
            return False
        return True

    def reset(self):
        """Ends with a RST of TCP."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(address, tls=None, name=None, alpn=("h2",), timeout=TIMEOUT, rcvbuf=None):
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    if rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock.settimeout(timeout)
    sock.connect(address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls:
        tls.set_alpn_protocols(list(alpn))
        sock = tls.wrap_socket(sock, server_hostname=name)
    return sock


class Client(Conn):
    """hello=False: nothing is sent. settings: ours, in its SETTINGS."""

    def __init__(self, address, tls=None, name=None, hello=True, settings=(), auto=True, credit=True, rcvbuf=None):
        super().__init__(connect(address, tls, name, rcvbuf=rcvbuf), auto, credit)
        self.next = 1
        self.scheme = "https" if tls else "http"
        pairs = dict(settings.items() if hasattr(settings, "items") else settings)
        if HEADER_TABLE_SIZE in pairs:
            self.decoder.max_allowed_table_size = pairs[HEADER_TABLE_SIZE]
        if hello:
            self.send(PREFACE + settings_octets(settings))

    def stream(self):
        self.next += 2
        return self.next - 2

    def begin(self, method="GET", path="/", fields=(), end=True, **kw):
        """A request's head; the stream."""
        kw.setdefault("scheme", self.scheme)
        with self.lock:
            stream = self.stream()
            self.headers(stream, request(method, path, *fields, **kw), end=end)
        return stream

    def upload(self, stream, body, end=True, trailers=None, piece=16384, into=None):
        """As the windows allow; what the peer says meanwhile is read here, into `into` ({stream: Answer})."""
        into = {} if into is None else into
        view = memoryview(body)
        while view:
            n = min(len(view), piece, self.window, self.windows[stream])
            if n > 0:
                self.data(stream, bytes(view[:n]), end and n == len(view) and not trailers)
                view = view[n:]
                continue
            before = {s: len(a.body) for s, a in into.items()}
            f = self.read()
            if f is None:
                raise H2Error(f"closed with {len(view)} octets left: {self.seen[-4:]}")
            if f.type in (HEADERS, CONTINUATION):
                fields = self.fields_of(f)
                if fields is not None and f.stream in into:
                    into[f.stream].fields = fields
                    into[f.stream].heads.append(fields)
            if f.type == DATA and f.stream in into:
                into[f.stream].body += f.content
            if f.stream == stream and f.type == RST_STREAM:
                raise H2Error(f"reset {f.code} with {len(view)} octets left, had {before}")
        if trailers:
            self.headers(stream, trailers)
        elif end and not body:
            self.data(stream)
        return self

    def ask(self, method="GET", path="/", fields=(), body=None, trailers=None, **kw):
        """A request and its answer."""
        stream = self.begin(method, path, fields, end=body is None and not trailers, **kw)
        answer = Answer()
        if body is not None or trailers:
            self.upload(stream, body or b"", trailers=trailers, into={stream: answer})
        return self.take(stream, answer)


def ask(address, *args, tls=None, name=None, **kw):
    """One request on a connection of its own."""
    with Client(address, tls, name) as c:
        return c.ask(*args, **kw)


# --- a server -------------------------------------------------------------------------------------
class Stream:
    """A request at a Server, and the means to answer it."""

    def __init__(self, conn, id, fields, ended):
        self.conn, self.id, self.fields, self.ended = conn, id, fields, ended
        self.trailers, self.read_all = [], b""
        self.reset_by_peer = None
        self.over = False  # the handler is through: what comes is dropped, and the connection's window renewed
        self.events = queue.Queue()

    def get(self, name, default=None):
        return next((v for n, v in self.fields if n == name), default)

    @property
    def path(self):
        return self.get(":path")

    @property
    def method(self):
        return self.get(":method")

    def piece(self, timeout=TIMEOUT):
        """The next payload, b"" at the end; None where the peer reset the stream or left."""
        if self.ended and self.events.empty():
            return b""
        try:
            kind, value = self.events.get(timeout=timeout)
        except queue.Empty:
            raise H2Error("no payload in time") from None
        if kind == "reset":
            self.reset_by_peer = value
            return None
        if kind == "end":
            self.ended = True
            return b""
        if not self.conn.server.credit:  # who gives credit by itself does it when the octets are taken
            return value
        n = struct.pack(">I", len(value))
        self.conn._try(octets(WINDOW_UPDATE, 0, 0, n) + octets(WINDOW_UPDATE, 0, self.id, n))
        return value

    def body(self):
        while True:
            part = self.piece()
            if not part:
                return self.read_all
            self.read_all += part

    def wait_reset(self, timeout=TIMEOUT):
        """The code of the peer's RST_STREAM (None: the connection ended)."""
        end = time.monotonic() + timeout
        while self.piece(max(end - time.monotonic(), 0.01)) is not None:
            pass
        return self.reset_by_peer

    def head(self, status=200, fields=(), end=False):
        self.conn.headers(self.id, [(":status", str(status)), *fields], end=end)

    def write(self, payload, end=False):
        """As the windows allow."""
        c, view = self.conn, memoryview(payload)
        most = c.peer.get(MAX_FRAME_SIZE, 16384)
        while view:
            with c.room:
                while min(c.window, c.windows[self.id]) <= 0:
                    if self.reset_by_peer is not None or c.eof or not c.room.wait(TIMEOUT):
                        raise H2Error("no window to write into")
                n = min(len(view), most, c.window, c.windows[self.id])
                c.data(self.id, bytes(view[:n]), end and n == len(view))
                view = view[n:]
        if end and not payload:
            c.data(self.id)

    def respond(self, status=200, fields=(), body=b"", trailers=None):
        self.head(status, fields, end=not body and not trailers)
        if body:
            self.write(body, end=not trailers)
        if trailers:
            self.conn.headers(self.id, trailers)

    def reset(self, code=CANCEL):
        self.conn.rst(self.id, code)

    def echo(self):
        """What was asked, as JSON."""
        body = self.body()
        self.respond(200, [("content-type", "application/json")], json.dumps({
            "fields": self.fields, "trailers": self.trailers, "body": body.decode("latin-1")}).encode())


def echo(x):
    x.echo()


class ServerConn(Conn):
    def __init__(self, server, sock, number):
        super().__init__(sock, credit=False)
        self.server, self.number = server, number
        self.streams = {}

    def serve(self):
        if self._exactly(len(PREFACE)) != PREFACE:
            raise H2Error("no preface")
        if self.server.raw:
            self.server.raw(self)
            return
        self.settings(self.server.settings)
        while True:
            f = self.read(None)
            if f is None:
                break
            self.frame_in(f)
        for x in list(self.streams.values()):
            x.events.put(("reset", None))

    def frame_in(self, f):
        x = self.streams.get(f.stream)
        if f.type in (HEADERS, CONTINUATION):
            fields = self.fields_of(f)
            if f.type == HEADERS:
                self._end = bool(f.flags & END_STREAM)
            if fields is None:
                return
            if x is None:
                x = self.streams[f.stream] = Stream(self, f.stream, fields, self._end)
                self.server.requests.append(x)
                threading.Thread(target=self.server.run, args=(x,), daemon=True).start()
            else:
                x.trailers = fields
                x.events.put(("end", None))
        elif f.type == DATA and x:
            if f.content and x.over and self.server.credit:
                self._try(octets(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(f.content))))
            elif f.content:
                x.events.put(("data", f.content))
            if f.flags & END_STREAM:
                x.events.put(("end", None))
        elif f.type == RST_STREAM and x:
            with self.room:
                x.reset_by_peer = f.code
                self.room.notify_all()
            x.events.put(("reset", f.code))


class Server:
    """On a port of its own. handler(stream) runs in a thread; raw(conn): each connection is the test's after its
    preface, which has to send SETTINGS itself. credit=False: handlers give it."""

    def __init__(self, handler=echo, settings=(), raw=None, tls=None, credit=True):
        self.handler, self.settings, self.raw, self.tls, self.credit = handler, settings, raw, tls, credit
        self.requests, self.errors, self.conns = [], [], []
        self.port = free_port()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(128)
        self.open = 0
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with self.lock:
            self.open += 1
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            conn = ServerConn(self, sock, len(self.conns))
            self.conns.append(conn)
            conn.serve()
        except OSError:
            pass
        except Exception as e:  # pylint: disable=broad-except
            self.errors.append(repr(e))
        finally:
            with self.lock:
                self.open -= 1
            sock.close()

    def run(self, x):
        try:
            self.handler(x)
        except OSError:
            pass
        except Exception as e:  # pylint: disable=broad-except
            self.errors.append(repr(e))
        x.over = True
        left = 0
        while not x.events.empty():
            kind, value = x.events.get()
            left += len(value) if kind == "data" else 0
        if left and self.credit:
            x.conn._try(octets(WINDOW_UPDATE, 0, 0, struct.pack(">I", left)))

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for c in self.conns:
            try:
                c.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        release(self.port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# --- python3-h2: it raises where its peer is wrong ------------------------------------------------
class Session:
    """A client that is somebody else's implementation: many requests, strict about what comes."""

    def __init__(self, address, tls=None, name=None):
        self.sock = connect(address, tls, name)
        self.scheme = "https" if tls else "http"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.answers = {}
        self._flush()

    def _flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def begin(self, method="GET", path="/", fields=(), end=True):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, request(method, path, *fields, scheme=self.scheme), end_stream=end)
        self.answers[stream] = Answer()
        self._flush()
        return stream

    def turn(self):
        """One read."""
        data = self.sock.recv(1 << 18)
        if not data:
            raise H2Error("closed")
        for e in self.h2.receive_data(data):
            a = self.answers.get(getattr(e, "stream_id", None)) or Answer()
            if isinstance(e, h2.events.ResponseReceived):
                a.fields = list(e.headers)
            elif isinstance(e, h2.events.TrailersReceived):
                a.trailers = list(e.headers)
            elif isinstance(e, h2.events.DataReceived):
                a.body += e.data
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
            elif isinstance(e, h2.events.StreamEnded):
                a.ended = True
            elif isinstance(e, h2.events.StreamReset):
                a.reset = e.error_code
        self._flush()

    def exchange(self, bodies):
        """{stream: octets to send}, side by side, and their answers."""
        left = {s: memoryview(b) for s, b in bodies.items()}
        while not all(a.ended or a.reset is not None for a in self.answers.values()):
            for s in list(left):
                n = min(self.h2.local_flow_control_window(s), self.h2.max_outbound_frame_size, len(left[s]))
                if n or not left[s]:
                    self.h2.send_data(s, bytes(left[s][:n]), end_stream=n == len(left[s]))
                    left[s] = left[s][n:]
                    if not left[s]:
                        del left[s]
            self._flush()
            if not any(self.h2.local_flow_control_window(s) > 0 for s in left):
                self.turn()
        return self.answers

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
