# SPDX-License-Identifier: Apache-2.0
"""Large bodies that go from socket to socket through a pipe (limits.pipes): the same octets, ends, counts and errors
as through buffers. G-FR-003, G-FR-004, F-PERF-01
"""
import hashlib
import os
import signal
import socket
import struct
import threading
import time

import pytest

from gateway import SLOW, until
from tls import NAME, certificate, client, context
from tls import site as tls_site

KB, MB = 1 << 10, 1 << 20
BIG = 20 * MB
HUGE = 3 * BIG  # more than all sockets on the way hold
BUFFER, PIPE = 16 * KB, 128 * KB
PIPED = "gateway_relay_piped_bytes_total"
SITE = """
    workers = 1;
    limits = { @limits@ };
    services = ( { id = "s"; url = "@origin@"; timeouts = { idle = "60s"; }; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
    listeners = ( { id = "main"; address = "127.0.0.1:@port@"; limits = { body = "@body@"; };
        timeouts = { write = "60s"; }; } );
"""


def site(gateway, b, limits="", body="0"):
    return gateway(SITE, origin=b.url, limits=limits, body=body)


def octets(n, seed=0):
    """n octets that never repeat themselves."""
    parts = (hashlib.sha512(b"%d %d" % (seed, i)).digest() * 64 for i in range(n // 4096 + 1))
    return b"".join(parts)[:n]


DATA = octets(BIG)


def same(got, want):
    """Octets compared; a failure says where they part, and does not print megabytes."""
    if got == want:
        return True
    at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    pytest.fail(f"{len(got)} octets for {len(want)}, unlike from {at}: {got[at:at + 40]!r}, not {want[at:at + 40]!r}")


class Origin:
    """GET /N: N octets; GET /close/N: until close; GET /cut/N/M, /reset/N/M: M of N, then gone. Else: the body's digest."""

    def __init__(self):
        self.gate = threading.Event()  # uploads are read when it is set
        self.gate.set()
        self.failed = threading.Event()
        self.sent = self.got = 0

    def __call__(self, x):
        try:
            if x.request.method == "GET":
                self.give(x, x.request.target.split("/")[1:])
            else:
                self.take(x, int(x.request.get("Content-Length")))
        except OSError:
            self.failed.set()
            raise

    def give(self, x, words):
        kind = words.pop(0) if len(words) > 1 else ""
        total, n = int(words[0]), int(words[-1])
        length = "Connection: close" if kind in ("close", "closereset") else f"Content-Length: {total}"
        x.send(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode())
        for at in range(0, n, 64 * KB):
            x.send(DATA[at % BIG:at % BIG + min(64 * KB, n - at)])
            self.sent = min(at + 64 * KB, n)
        if kind in ("reset", "closereset"):
            time.sleep(0.05)  # what was sent is out
            x.reset()
        elif kind:
            x.close()

    def take(self, x, left):
        self.gate.wait(60)
        h = hashlib.sha256()
        while left:
            part = x.wire.buf or x.wire.sock.recv(min(left, 65536))
            x.wire.buf = b""
            if not part:
                raise OSError("cut short")
            h.update(part)
            left -= len(part)
            self.got += len(part)
        x.respond(200, {}, h.hexdigest().encode())


@pytest.fixture
def origin(backend):
    o = Origin()
    o.b = backend(o, read_body=False)
    return o


def pipes_of(pid):
    """Descriptors of pipes that a process has."""
    found = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("pipe:")
        except OSError:
            pass
    return found


def quiet(gw):
    """No request and no in-flight share is left."""
    until(lambda: gw.metric("gateway_http_requests_active") == 0, 10, "no request in progress")
    until(lambda: gw.metric("gateway_endpoint_in_flight") == 0, 10, "in-flight counts of zero")


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


LENGTHS = [n + d for n in (BUFFER, 2 * BUFFER, PIPE, 2 * PIPE, MB) for d in (-1, 0, 1)]


def test_downloads_of_every_length(gateway, origin):
    """Around a buffer's and a pipe's size, all on one connection to either side; counted in log and metrics."""
    gw = site(gateway, origin.b)
    with gw.client() as c:
        for n in LENGTHS:
            assert same(c.ask("GET", f"/{n}").body, DATA[:n])
    assert gw.metric("gateway_upstream_connections_total") == 1
    assert [line["body_out"] for line in gw.access_log(len(LENGTHS))] == LENGTHS
    assert gw.metric("gateway_route_response_bytes_total", route="all") == sum(LENGTHS)
    assert sum(LENGTHS) / 2 < gw.metric(PIPED) < sum(LENGTHS)


def test_uploads_of_every_length(gateway, origin):
    gw = site(gateway, origin.b)
    with gw.client() as c:
        for n in LENGTHS:
            assert c.ask("POST", "/", body=DATA[:n]).body.decode() == hashlib.sha256(DATA[:n]).hexdigest()
    assert gw.metric("gateway_upstream_connections_total") == 1
    assert [line["bytes_in"] > n for line, n in zip(gw.access_log(len(LENGTHS)), LENGTHS)] == [True] * len(LENGTHS)
    assert gw.metric("gateway_route_request_bytes_total", route="all") == sum(LENGTHS)
    assert gw.metric(PIPED) > sum(LENGTHS) / 2


def test_pipelined_behind_a_large_body(gateway, origin):
    """What follows a body in the same segments is the next request."""
    gw = site(gateway, origin.b)
    with gw.client() as c:
        one = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {MB}\r\n\r\n".encode() + DATA[:MB]
        sender = threading.Thread(target=c.send, args=(one * 5 + b"GET /7 HTTP/1.1\r\nHost: a\r\n\r\n",))
        sender.start()
        for _ in range(5):
            assert c.response().body.decode() == hashlib.sha256(DATA[:MB]).hexdigest()
        assert same(c.response().body, DATA[:7])
        sender.join(10)
    assert gw.metric(PIPED) > 0


def test_until_close(gateway, origin):
    """To HTTP/1.0, which has no chunks, it stays as it is; a reset is no end (R-6.1)."""
    gw = site(gateway, origin.b)
    with gw.client() as c:
        assert same(c.request("GET", f"/close/{5 * MB}", version="HTTP/1.0").response().body, DATA[:5 * MB])
        assert c.closed()
    assert gw.metric(PIPED) > MB
    for kind in ("closereset", "reset"):
        got = 0
        with gw.client() as c, pytest.raises(ConnectionResetError):
            c.request("GET", f"/{kind}/{10 * MB}/{3 * MB}", version="HTTP/1.0")
            while part := c.sock.recv(65536):
                got += len(part)
        assert got <= 3 * MB + 500
    quiet(gw)


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_service_gone_in_the_middle(gateway, origin, kind):
    """No clean end for the client, the endpoint is blamed, and what came before is right."""
    gw = site(gateway, origin.b)
    with gw.client() as c:
        head = c.request("GET", f"/{kind}/{BIG}/{2 * MB}").head()
        assert head.status == 200
        got = c.rest()
        assert DATA.startswith(got)
        assert kind == "reset" or got
    assert gw.access_log(1)[0]["reason"] == "upstream_aborted"
    quiet(gw)


def test_client_gone_in_the_middle(gateway, origin):
    """Of a download: the service's connection is ended; of an upload: likewise, and it sees no whole body."""
    gw = site(gateway, origin.b)
    c = gw.client()
    c.request("GET", f"/{BIG}")
    c.exactly(300000)
    reset(c.sock)
    assert origin.failed.wait(10 * SLOW)
    origin.failed.clear()
    c = gw.client()
    c.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BIG}\r\n\r\n".encode() + DATA[:5 * MB])
    reset(c.sock)
    assert origin.failed.wait(10 * SLOW)
    assert origin.got <= 5 * MB
    assert {line["reason"] for line in gw.access_log(2)} == {"client_gone"}
    quiet(gw)


def test_slow_reader(gateway, origin):
    """It stops the service; every octet comes in the end."""
    gw = site(gateway, origin.b)
    with gw.client() as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * KB)
        c.request("GET", f"/{HUGE}")
        until(lambda: gw.metric(PIPED) > 0, 10, "a pipe in use")
        last = -1
        while last != origin.sent:
            last = origin.sent
            time.sleep(0.3 * SLOW)
        assert origin.sent < HUGE
        assert same(c.response().body, DATA * 3)


def test_slow_service(gateway, origin):
    """It stops the client."""
    origin.gate.clear()
    gw = site(gateway, origin.b)
    with gw.client(timeout=60) as c:
        sender = threading.Thread(target=c.request, args=("PUT", "/"), kwargs={"body": DATA * 3})
        sender.start()
        sender.join(SLOW)
        assert sender.is_alive()
        origin.gate.set()
        assert c.response().body.decode() == hashlib.sha256(DATA * 3).hexdigest()
        sender.join(10)


def test_more_readers_than_pipes(gateway, origin):
    """Those that find none go through buffers; when all is quiet the pipes are closed again."""
    gw = site(gateway, origin.b, limits="pipes = 3;")
    worker = gw.child("worker")
    before = pipes_of(worker)
    clients = [gw.client(timeout=60) for _ in range(12)]
    try:
        for c in clients:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * KB)
            c.request("GET", f"/{5 * MB}")
        until(lambda: pipes_of(worker) == before + 6, 10, "three pipes in use")
        for c in clients:
            assert same(c.response().body, DATA[:5 * MB])
            assert pipes_of(worker) <= before + 6
    finally:
        for c in clients:
            c.close()
    until(lambda: pipes_of(worker) == before, 20, "no pipe left")


def test_switched_off_and_on(gateway, origin):
    """limits.pipes = 0, by a reload."""
    gw = site(gateway, origin.b, limits="pipes = 0;")
    assert same(gw.ask("GET", f"/{MB}").body, DATA[:MB])
    assert gw.metric(PIPED) == 0
    gw.reload(SITE, origin=origin.b.url, limits="", body="0")
    assert same(gw.ask("GET", f"/{MB}").body, DATA[:MB])
    assert gw.metric(PIPED) > 0


def test_body_limit_holds(gateway, origin):
    """To the octet. G-FR-003"""
    gw = site(gateway, origin.b, body="1m")
    with gw.client() as c:
        assert c.ask("POST", "/", body=DATA[:MB]).status == 200
        assert c.request("POST", "/", headers={"Content-Length": str(MB + 1)}).response().status == 413


def test_unix_socket(gateway, backend):
    """A service behind a Unix socket."""
    path = f"/dev/shm/gw-test-pipes-{os.getpid()}.sock"  # where workers may go
    gw = site(gateway, backend(Origin(), read_body=False, family="unix", path=path))
    with gw.client() as c:
        assert same(c.ask("GET", f"/{3 * MB}").body, DATA[:3 * MB])
        assert c.ask("POST", "/", body=DATA[:3 * MB]).body.decode() == hashlib.sha256(DATA[:3 * MB]).hexdigest()
    assert gw.metric(PIPED) > MB


def test_drain_with_bodies_under_way(gateway, origin):
    """A download goes on through a graceful stop, to its last octet."""
    gw = site(gateway, origin.b)
    with gw.client(timeout=60) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * KB)
        c.request("GET", f"/{BIG}")
        until(lambda: gw.metric(PIPED) > 0, 10, "a pipe in use")
        gw.kill(signal.SIGQUIT)
        gw.wait_log("draining")
        assert same(c.response().body, DATA)
    until(lambda: gw.exit_status() is not None, 15, "the end")
    assert gw.stop() == 0


def test_stopped_with_bodies_under_way(gateway, origin):
    """At the deadline what is left is cut: nothing is held, nobody crashes."""
    gw = gateway(SITE + 'shutdown = { min_drain = "0s"; deadline = "300ms"; };', origin=origin.b.url, limits="", body="0")
    with gw.client() as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * KB)
        c.request("GET", f"/{HUGE}")
        until(lambda: gw.metric(PIPED) > 0, 10, "a pipe in use")
        assert gw.stop(signal.SIGQUIT) == 0
        assert len(c.rest()) < HUGE
    assert origin.failed.wait(10)



def test_tls_goes_through_memory(gateway, backend, origin, pki):
    """What is encrypted or decrypted here, on either side, is never in a pipe; a plain neighbour still is."""
    leaf = pki.leaf(NAME)
    gw = tls_site(gateway, origin.b, certificate("c", leaf), workers=1)
    with client(gw, context(leaf.ca)) as c:
        assert same(c.ask("GET", f"/{2 * MB}", host=NAME).body, DATA[:2 * MB])
        assert c.ask("POST", "/", host=NAME, body=DATA[:MB]).body.decode() == hashlib.sha256(DATA[:MB]).hexdigest()
    assert gw.metric(PIPED) == 0
