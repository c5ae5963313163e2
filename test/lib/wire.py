# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 by hand, so that a test decides every byte: a buffered socket, messages, a client.

Nothing here is lenient: what does not parse raises WireError, so a test sees a broken answer as a
failure and never as an empty one.
"""
import json as _json
import socket

TIMEOUT = 15.0


class WireError(Exception):
    """The peer sent something that is not HTTP, or closed in the middle of a message."""


class Message:
    """A request or response as it came: first line, header pairs in order, body, trailers."""

    def __init__(self, first, headers):
        self.first = first
        self.headers = headers
        self.body = b""
        self.trailers = []
        self.chunks = None  # sizes, where the body was chunked
        parts = first.split(" ", 2)
        if first.startswith("HTTP/"):
            self.version, self.status = parts[0], int(parts[1])
            self.reason = parts[2] if len(parts) > 2 else ""
        else:
            if len(parts) != 3:
                raise WireError(f"bad request line {first!r}")
            self.method, self.target, self.version = parts

    def get(self, name, default=None):
        """The first header of this name."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), default)

    def all(self, name):
        """Every header of this name."""
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def json(self):
        return _json.loads(self.body)

    def __repr__(self):
        return f"<{self.first} {self.headers} {self.body[:200]!r}>"


class Wire:
    """A socket with a read buffer and message framing."""

    def __init__(self, sock):
        self.sock = sock
        self.buf = b""

    def fill(self):
        """One read; False at the end of the stream."""
        data = self.sock.recv(65536)
        self.buf += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buf:
            if not self.fill():
                raise WireError(f"closed before {mark!r}: {self.buf[:300]!r}")
        out, self.buf = self.buf.split(mark, 1)
        return out

    def exactly(self, n):
        while len(self.buf) < n:
            if not self.fill():
                raise WireError(f"closed with {len(self.buf)} of {n} octets")
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def rest(self):
        """Everything up to the end of the stream; a reset ends it too."""
        try:
            while self.fill():
                pass
        except ConnectionResetError:
            pass
        out, self.buf = self.buf, b""
        return out

    def head(self):
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise WireError(f"bad header line {line!r}")
            headers.append((name, value.strip(" \t")))
        return Message(lines[0], headers)

    def chunked(self, message):
        message.chunks = []
        parts = []
        while True:
            size = int(self.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            parts.append(self.exactly(size))
            message.chunks.append(size)
            if self.exactly(2) != b"\r\n":
                raise WireError("chunk without its CRLF")
        while True:
            line = self.until(b"\r\n").decode("latin-1")
            if not line:
                break
            name, _, value = line.partition(":")
            message.trailers.append((name, value.strip()))
        message.body = b"".join(parts)

    def body(self, message, to_eof=False):
        """Reads the body that the head announces."""
        if (message.get("Transfer-Encoding") or "").lower() == "chunked":
            self.chunked(message)
        elif message.get("Content-Length") is not None:
            message.body = self.exactly(int(message.get("Content-Length")))
        elif to_eof:
            message.body = self.rest()
        return message

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def close(self):
        self.sock.close()

    def closed(self, timeout=TIMEOUT):
        """True where the peer closes without sending anything more."""
        self.sock.settimeout(timeout)
        try:
            return not self.buf and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False


class Client(Wire):
    """A client connection: to (host, port) or to the path of a Unix socket. tls: an SSLContext, for
    the host `name`; an end of TCP without an end of TLS is an OSError then."""

    def __init__(self, address, timeout=TIMEOUT, source=None, tls=None, name=None, session=None):
        if isinstance(address, str):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(timeout)
            sock.connect(address)
        else:
            sock = socket.create_connection(address, timeout=timeout, source_address=source)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            try:
                sock = tls.wrap_socket(sock, server_hostname=name, session=session, suppress_ragged_eofs=False)
            except OSError:
                sock.close()
                raise
        super().__init__(sock)
        self.interim = []  # 1xx answers seen

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def request(self, method, target, headers=(), body=None, host="test.example", version="HTTP/1.1"):
        """Sends a request; `headers` is a dict or pairs. A body gets its Content-Length."""
        pairs = list(headers.items() if hasattr(headers, "items") else headers)
        names = {n.lower() for n, _ in pairs}
        if host is not None and "host" not in names:
            pairs.insert(0, ("Host", host))
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            pairs.append(("Content-Length", str(len(body))))
        head = "".join(f"{n}: {v}\r\n" for n, v in pairs)
        data = f"{method} {target} {version}\r\n{head}\r\n".encode("latin-1")
        self.send(data + (body or b""))
        return self

    def response(self, method="GET"):
        """Reads the next final response; 1xx ones go to self.interim."""
        while True:
            m = self.head()
            if not m.first.startswith("HTTP/1."):
                raise WireError(f"bad status line {m.first!r}")
            if m.status >= 200:
                break
            self.interim.append(m)
        if method != "HEAD" and m.status not in (204, 304):
            self.body(m, to_eof=True)
        return m

    def ask(self, method, target, *args, **kw):
        """A request and its response."""
        return self.request(method, target, *args, **kw).response(method)


def ask(address, method, target, *args, timeout=TIMEOUT, **kw):
    """One request on a connection of its own."""
    with Client(address, timeout) as c:
        return c.ask(method, target, *args, **kw)


def raw(address, data, timeout=TIMEOUT, shut=False):
    """Sends these bytes and returns all that comes back until the peer closes."""
    with Client(address, timeout) as c:
        c.send(data)
        if shut:
            c.sock.shutdown(socket.SHUT_WR)
        return c.rest()
