# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol with HAProxy at either end, and with peers that speak it badly. R-1.1, R-2.5."""
import shutil
import socket
import struct
import subprocess
import threading
import time

import pytest

from gateway import until
from ports import free_port, release
from wire import Client, Wire

SIG = b"\r\n\r\n\0\r\nQUIT\n"
REQUEST = b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n"
IN = """
    workers = 1;
    listeners = ( { id = "main"; address = "127.0.0.1:@port@"; },
                  { id = "in"; address = "127.0.0.1:@inner@";
                    proxy_protocol = { mode = "any"; timeout = "500ms"; }; } );
    services = ( { id = "s"; url = "@origin@"; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
"""
OUT = """
    workers = 1;
    listeners = ( { id = "main"; address = "*:@port@"; } );
    services = ( { id = "s"; url = "http://127.0.0.1:@inner@"; proxy_protocol = "@version@"; pool = { idle = 2; };
                   health = { passive = false; }; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
"""


@pytest.fixture
def inner():
    port = free_port()
    yield port
    release(port)


@pytest.fixture
def haproxy(tmp_path):
    """Starts HAProxy with these sections; returns the port that stands for @front@ in them."""
    binary = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if not binary:
        pytest.skip("no haproxy on this machine (contrib/deps bench installs it)")
    started = []

    def start(sections):
        port = free_port()
        conf = tmp_path / f"haproxy-{len(started)}.cfg"
        conf.write_text("defaults\n  mode http\n  timeout connect 5s\n  timeout client 10s\n  timeout server 10s\n" +
                        sections.replace("@front@", str(port)))
        process = subprocess.Popen([binary, "-db", "-f", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        started.append((process, port))

        def listens():
            assert process.poll() is None, process.stderr.read().decode()
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0
        until(listens, 10, "HAProxy")
        return port

    yield start
    for process, port in started:
        process.terminate()
        process.wait(10)
        process.stderr.close()
        release(port)


@pytest.mark.parametrize("words", ["send-proxy", "send-proxy-v2",
                                   "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority"])
def test_haproxy_in_front(gateway, backend, haproxy, inner, words):
    """The client that HAProxy saw is the client, in both versions and with extensions."""
    origin = backend()
    gw = gateway(IN, origin=origin.url, inner=inner)
    front = haproxy(f"listen l\n  bind 127.0.0.1:@front@\n  unique-id-format %[uuid]\n"
                    f"  server s 127.0.0.1:{inner} {words}\n")
    for source in ("127.0.0.7", "127.0.0.8"):
        with Client(("127.0.0.1", front), source=(source, 0)) as c:
            seen = c.ask("GET", "/x")
            assert seen.status == 200
        request = origin.requests[-1]
        assert request.get("X-Forwarded-For") == source
        assert request.get("X-Forwarded-Port") == str(front)
    lines = gw.access_log(2, lambda line: line.get("path") == "/x")
    assert [(line["client"], line["peer"]) for line in lines] == [("127.0.0.7", "127.0.0.1"), ("127.0.0.8", "127.0.0.1")]
    assert gw.metric("gateway_errors_total", reason="proxy_header") == 0


def test_haproxy_checks(gateway, backend, haproxy, inner):
    """HAProxy's own health checks (LOCAL in version 2) are served, with its address."""
    gw = gateway(IN, origin=backend().url, inner=inner)
    front = haproxy(f"listen l\n  bind 127.0.0.1:@front@\n  option httpchk GET /health\n"
                    f"  server s 127.0.0.1:{inner} send-proxy-v2 check inter 100ms\n")
    until(lambda: gw.metric("gateway_client_connections_proxied_total") >= 3, 10, "three checks")
    with Client(("127.0.0.1", front)) as c:
        assert c.ask("GET", "/x").status == 200
    assert gw.metric("gateway_errors_total", reason="proxy_header") == 0


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_behind(gateway, backend, haproxy, version):
    """What the gateway sends is what HAProxy accepts, for every client its own."""
    origin = backend()
    behind = haproxy(f"listen l\n  bind 127.0.0.1:@front@ accept-proxy\n"
                     f"  http-request set-header X-Src %[src]:%[src_port]\n"
                     f"  http-request set-header X-Dst %[dst]:%[dst_port]\n"
                     f"  server s 127.0.0.1:{origin.port}\n")
    gw = gateway(OUT, version=version, inner=behind)
    for source in ("127.0.0.7", "127.0.0.8", "127.0.0.7"):
        with Client(("127.0.0.1", gw.port), source=(source, 0)) as c:
            own = "%s:%d" % c.sock.getsockname()
            for _ in range(3):
                assert c.ask("GET", "/x").status == 200
                assert origin.requests[-1].get("X-Src") == own
                assert origin.requests[-1].get("X-Dst") == f"127.0.0.1:{gw.port}"
    lines = gw.access_log(9, lambda line: line.get("path") == "/x")
    assert [bool(line.get("reused")) for line in lines] == [False, True, True] * 3


class Raw:
    """A server that keeps the octets each connection begins with, up to the request."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.heads = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(sock,), daemon=True).start()

    def _one(self, sock):
        wire = Wire(sock)
        try:
            self.heads.append(wire.until(b"GET /x "))
            while True:
                wire.until(b"\r\n\r\n")
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                wire.until(b"GET /x ")
        except Exception:  # the gateway closes it
            sock.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_octets_sent(gateway, inner, version):
    """To the octet, once at the start of a connection, and none with another client's."""
    server = Raw(inner)
    gw = gateway(OUT, version=version, inner=inner)
    clients = [Client(("127.0.0.1", gw.port), source=(f"127.0.0.{n}", 0)) for n in (7, 8, 9, 10)]
    wanted = []
    for _ in range(2):
        for c in clients:
            assert c.ask("GET", "/x").body == b"ok"
    for c in clients:
        ip, port = c.sock.getsockname()
        if version == "v1":
            wanted.append(f"PROXY TCP4 {ip} 127.0.0.1 {port} {gw.port}\r\n".encode())
        else:
            wanted.append(SIG + b"\x21\x11\0\x0c" + socket.inet_aton(ip) + socket.inet_aton("127.0.0.1") +
                          struct.pack(">HH", port, gw.port))
    # There is room for two idle ones: each client's own is gone when its turn comes again.
    assert server.heads == wanted * 2
    gw.wait_metric("gateway_upstream_connections_idle", 2)
    for c in clients:
        c.close()
    server.close()


PIECES = {
    "v1": b"PROXY TCP4 192.0.2.1 198.51.100.2 5000 443\r\n",
    "v2": SIG + b"\x21\x11\0\x10" + bytes([192, 0, 2, 1, 198, 51, 100, 2]) + b"\x13\x88\1\xbb" + b"\x04\0\1x",
}


@pytest.mark.parametrize("header", PIECES.values(), ids=PIECES)
def test_every_split(gateway, backend, inner, header):
    """Cut in two anywhere, octet by octet, and with the request in the same segment."""
    origin = backend()
    gw = gateway(IN, origin=origin.url, inner=inner)
    for at in range(1, len(header) + 1):
        with Client(("127.0.0.1", inner)) as c:
            c.send(header[:at])
            time.sleep(0.002)
            c.send(header[at:] + REQUEST)
            assert c.response().status == 200
        assert origin.requests[-1].get("X-Forwarded-For") == "192.0.2.1"
    with Client(("127.0.0.1", inner)) as c:
        for octet in header + REQUEST:
            c.send(bytes([octet]))
            time.sleep(0.001)
        assert c.response().status == 200
    assert origin.requests[-1].get("X-Forwarded-For") == "192.0.2.1"
    assert gw.metric("gateway_client_connections_proxied_total") == len(header) + 1


BAD = {
    "plain HTTP": REQUEST,
    "TLS": b"\x16\3\1\2\0\1\0\1\xfc\3\3",
    "bad family": b"PROXY TCP9 1.2.3.4 1.2.3.4 1 2\r\n" + REQUEST,
    "bad address": b"PROXY TCP4 1.2.3.400 1.2.3.4 1 2\r\n" + REQUEST,
    "endless line": b"PROXY UNKNOWN " + b"x" * 200,
    "bad version": SIG + b"\x31\x11\0\0" + REQUEST,
    "too short": SIG + b"\x21\x11\0\x04abcd" + REQUEST,
    "too long": SIG + b"\x21\x11\xff\xff" + REQUEST,
    "wrong sum": SIG + b"\x21\x11\0\x13" + b"a" * 12 + b"\3\0\4abcd" + REQUEST,
}


def test_malformed(gateway, backend, inner):
    """Closed without an answer, counted, and said in the log once a second; the next one is served."""
    origin = backend()
    gw = gateway(IN, origin=origin.url, inner=inner)
    for data in BAD.values():
        with Client(("127.0.0.1", inner)) as c:
            c.send(data)
            assert c.closed(5)
    with Client(("127.0.0.1", inner)) as c:  # cut short
        c.send(PIECES["v2"][:20])
        c.sock.shutdown(socket.SHUT_WR)
        assert c.closed(0.4)
    assert gw.metric("gateway_errors_total", reason="proxy_header") == len(BAD) + 1
    with Client(("127.0.0.1", inner)) as c:  # nobody's fault
        c.sock.shutdown(socket.SHUT_WR)
        assert c.closed(0.4)
    for began in (b"", b"PROXY"):
        with Client(("127.0.0.1", inner)) as c:
            c.send(began)
            assert c.closed(5)
    assert gw.metric("gateway_errors_total", reason="proxy_header") == len(BAD) + 1
    assert gw.metric("gateway_errors_total", reason="proxy_timeout") == 2
    assert not origin.requests
    gw.wait_log("listener in: PROXY header of 127.0.0.1:[0-9]+: no PROXY header")
    with Client(("127.0.0.1", inner)) as c:
        c.send(PIECES["v1"] + REQUEST)
        assert c.response().status == 200
    until(lambda: gw.metric("gateway_client_connections") <= 2, 5, "the connections to be gone")
