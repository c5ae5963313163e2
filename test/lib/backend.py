# SPDX-License-Identifier: Apache-2.0
"""Backends for tests: a thread per connection, every byte in the handler's hands.

    with Backend() as b:                    # echoes what it was asked, as JSON
    with Backend(reply(200, body=b"x")):    # always this
    def slow(x):                            # x: one exchange
        gate.wait(5)
        x.respond(200, {"X-A": "b"}, b"body")
    with Backend(slow) as b: ... b.url, b.requests, b.connections

A handler may also send raw bytes (x.send), close (x.close), over TLS without saying so (x.cut), or reset
(x.reset), and then nothing more is read from that connection.

    with Backend(tls=server_tls(leaf)) as b: ... b.handshakes, b.refusals

`before` is called with each accepted socket, before TLS: for what comes in front of it.
"""
import json
import os
import socket
import ssl
import struct
import threading

from ports import free_port, release
from wire import Wire, WireError

REASONS = {200: "OK", 201: "Created", 204: "No Content", 206: "Partial Content", 302: "Found",
           304: "Not Modified", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found",
           418: "I'm a teapot", 500: "Internal Server Error", 503: "Service Unavailable"}


class Exchange:
    """One request at a backend, and the means to answer it."""

    def __init__(self, backend, wire, request, number):
        self.backend, self.wire, self.request = backend, wire, request
        self.number = number  # of this request on its connection, from 0
        self.open = True

    def send(self, data):
        self.wire.send(data)

    def respond(self, status=200, headers=(), body=b"", chunked=False, reason=None):
        """A whole response: Content-Length is added unless the headers frame the body themselves."""
        pairs = list(headers.items() if hasattr(headers, "items") else headers)
        names = {n.lower() for n, _ in pairs}
        if chunked:
            pairs.append(("Transfer-Encoding", "chunked"))
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        elif status >= 200 and status not in (204, 304) and \
                not names & {"content-length", "transfer-encoding"}:
            pairs.append(("Content-Length", str(len(body))))
        head = "".join(f"{n}: {v}\r\n" for n, v in pairs)
        line = f"HTTP/1.1 {status} {reason or REASONS.get(status, 'Status')}\r\n"
        if getattr(self.request, "method", "") == "HEAD":
            body = b""
        self.send((line + head + "\r\n").encode("latin-1") + body)
        if any(n.lower() == "connection" and "close" in v.lower() for n, v in pairs):
            self.close()

    def echo(self):
        """What was asked, as JSON."""
        r = self.request
        self.respond(200, {"Content-Type": "application/json", "X-Backend": self.backend.name}, json.dumps({
            "backend": self.backend.name, "method": r.method, "target": r.target, "version": r.version,
            "headers": r.headers, "trailers": r.trailers, "body": r.body.decode("latin-1")}).encode())

    def close(self):
        sock = self.wire.sock
        if isinstance(sock, ssl.SSLSocket):
            try:
                sock.settimeout(2)
                sock = sock.unwrap()  # close_notify
            except (OSError, ValueError):
                pass
        self._close(sock)

    def cut(self):
        """An end of TCP and none of TLS."""
        self._close(self.wire.sock)

    def _close(self, sock):
        self.open = False
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        sock.close()
        self.wire.close()

    def reset(self):
        """Closes with a RST."""
        self.open = False
        self.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wire.close()


def reply(status=200, headers=(), body=b"", **kw):
    """A handler that always answers this."""
    return lambda x: x.respond(status, headers, body, **kw)


def echo(x):
    x.echo()


def server_tls(leaf, client_ca=None, version=None, required=True):
    """The server's side of TLS with this certificate (pki.Certificate). client_ca: clients show one of its."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.chain, leaf.key)
    if version:
        context.minimum_version = context.maximum_version = version
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        context.load_verify_locations(client_ca.bundle)
    return context


class Handshake:
    """What a backend saw of one."""

    def __init__(self, sock, sni):
        self.sni, self.version, self.reused = sni, sock.version(), sock.session_reused
        self.peer = sock.getpeercert(binary_form=True)


class Backend:
    """A server on a port of its own. family: "inet", "inet6" or "unix" (path)."""

    def __init__(self, handler=echo, name="backend", family="inet", path=None, port=None,
                 read_body=True, start=True, host="127.0.0.1", tls=None, before=None):
        self.host = host  # inet: where it listens
        self.handler, self.name, self.family, self.path = handler, name, family, path
        self.read_body = read_body  # False: the handler reads the body, or not, by x.wire
        self.requests, self.errors = [], []
        self.tls, self.before = tls, before
        self.handshakes, self.refusals = [], []  # over TLS: Handshake, and exceptions of those that failed
        self.connections = 0        # accepted so far
        self.open = 0               # open now
        self.lock = threading.Lock()
        self._socks = set()
        self._own_port = family != "unix" and port is None
        self.port = (free_port() if port is None else port) if family != "unix" else None
        self.listener = None
        if start:
            self.start()

    @property
    def address(self):
        return self.path if self.family == "unix" else \
            ("::1" if self.family == "inet6" else self.host, self.port)

    @property
    def url(self):
        """As the gateway's configuration wants it."""
        if self.family == "unix":
            return f"unix:{self.path}"
        host = "[::1]" if self.family == "inet6" else self.host
        return f"http{'s' if self.tls else ''}://{host}:{self.port}"

    def start(self):
        kind = {"inet": socket.AF_INET, "inet6": socket.AF_INET6, "unix": socket.AF_UNIX}[self.family]
        s = socket.socket(kind, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(self.address)
        if self.family == "unix":
            os.chmod(self.path, 0o777)
        s.listen(512)
        self.listener = s
        threading.Thread(target=self._accept, args=(s,), daemon=True).start()
        return self

    def stop(self):
        """Stops listening and drops every connection; the port stays ours, so start() may follow."""
        if self.listener:
            try:
                self.listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.listener.close()
            self.listener = None
            if self.family == "unix":
                os.unlink(self.path)
        with self.lock:
            socks = list(self._socks)
        for s in socks:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.stop()
        if self._own_port:
            release(self.port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            if self.family != "unix":
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
                self.open += 1
                self._socks.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _secure(self, sock):
        """The same connection behind its handshake."""
        def note(s, name, _):
            s.sni = name
        self.tls.sni_callback = note
        plain = sock
        try:
            sock = self.tls.wrap_socket(sock, server_side=True)
        except OSError as e:
            self.refusals.append(e)
            raise
        self.handshakes.append(Handshake(sock, getattr(sock, "sni", None)))
        with self.lock:
            self._socks.discard(plain)
            self._socks.add(sock)
        return sock

    def _serve(self, sock):
        wire = None
        try:
            if self.before:
                self.before(sock)
            if self.tls:
                sock = self._secure(sock)
            wire = Wire(sock)
            self._exchanges(wire)
        except (OSError, ValueError):
            pass  # the gateway went away, or the handler closed: the test looks at the client's side
        except WireError as e:
            if wire and wire.buf:
                self.errors.append(str(e))
        except Exception as e:  # pylint: disable=broad-except
            self.errors.append(repr(e))
        finally:
            with self.lock:
                self.open -= 1
                self._socks.discard(sock)
            sock.close()

    def _exchanges(self, wire):
        number = 0
        while True:
            if not wire.buf and not wire.fill():
                return
            request = wire.head()
            if self.read_body:
                wire.body(request)
            with self.lock:
                self.requests.append(request)
            x = Exchange(self, wire, request, number)
            self.handler(x)
            if not x.open:
                return
            number += 1
