# SPDX-License-Identifier: Apache-2.0
"""HTTP with real clients: large bodies both ways, slow peers, peers that vanish, the address families, limits,
and what the gateway costs.
"""
import hashlib
import os
import re
import socket
import struct
import subprocess
import threading
import time

import pytest

from gateway import SANITIZED, SLOW, until
from origin import Origin
from ports import free_port
from wire import Client, WireError, ask

MB = 1 << 20
BIG = 50 * MB
SITE = """
    workers = @workers@;
    services = ( { id = "s"; url = "@origin@"; @service@ } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
    listeners = ( { id = "main"; address = "@address@"; limits = { body = "0"; }; @listener@ } );
"""


def site(gateway, origin, workers=2, service="", listener="", address="127.0.0.1:@port@", extra="", **kw):
    return gateway(SITE.replace("@address@", address) + extra, origin=origin, workers=workers, service=service,
                   listener=listener, **kw)


def block(n):
    """The n-th 64 KiB of an endless stream that never repeats itself."""
    return hashlib.sha256(b"%d" % n).digest() * 2048


def stream(total):
    for n in range(0, total, 65536):
        yield block(n // 65536)[:total - n]


def digest_of(parts):
    h = hashlib.sha256()
    for p in parts:
        h.update(p)
    return h.hexdigest()


BIG_DIGEST = digest_of(stream(BIG))


class Bulk:
    """GET /N sends N octets of the stream; anything else is read to its end, and its digest is the answer."""

    def __init__(self, gate=None):
        self.gate = gate      # reading waits for it
        self.sent = self.got = 0
        self.failed = threading.Event()

    def __call__(self, x):
        try:
            if x.request.method == "GET":
                self.download(x, int(x.request.target.rsplit("/", 1)[1]))
            else:
                self.upload(x)
        except OSError:
            self.failed.set()
            raise

    def download(self, x, total):
        x.send(f"HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n".encode())
        for part in stream(total):
            x.send(part)
            self.sent += len(part)

    def upload(self, x):
        if self.gate:
            self.gate.wait(60)
        h = hashlib.sha256()
        chunked = (x.request.get("Transfer-Encoding") or "").lower() == "chunked"
        for part in (self.chunks(x.wire) if chunked else self.counted(x.wire, int(x.request.get("Content-Length")))):
            h.update(part)
            self.got += len(part)
        x.respond(200, {}, h.hexdigest().encode())

    @staticmethod
    def counted(wire, left):
        while left:
            if not wire.buf and not wire.fill():
                raise OSError("cut short")
            part, wire.buf = wire.buf[:left], wire.buf[left:]
            left -= len(part)
            yield part

    def chunks(self, wire):
        while True:
            size = int(wire.until(b"\r\n").split(b";")[0], 16)
            yield from self.counted(wire, size)
            assert wire.exactly(2) == b"\r\n"
            if size == 0:
                return


def curl(*args, data=None, timeout=60):
    """Runs curl; returns what it wrote."""
    done = subprocess.run(["curl", "-sS", "--fail-with-body", "--max-time", str(timeout * SLOW), *map(str, args)],
                          input=data, capture_output=True, check=False, timeout=timeout * SLOW + 10)
    assert done.returncode == 0, (done.returncode, done.stderr, done.stdout[:300])
    return done.stdout


def rss(pid):
    for line in open(f"/proc/{pid}/status", encoding="ascii"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def cpu(pid):
    """Seconds of CPU the process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def steady(value, hold=0.4):
    """Waits until value() stops changing, and returns it."""
    last, since = value(), time.monotonic()
    while time.monotonic() - since < hold * SLOW:
        time.sleep(0.02)
        now = value()
        if now != last:
            last, since = now, time.monotonic()
    return last


def idle_again(gw):
    """No request and no in-flight share is left."""
    until(lambda: gw.metric("gateway_http_requests_active") == 0, 10, "no request in progress")
    until(lambda: gw.metric("gateway_endpoint_in_flight") == 0, 10, "in-flight counts of zero")


# --- large bodies ------------------------------------------------------------------------------------------
def test_download_50_mb(gateway, backend, tmp_path):
    """curl gets every octet, by HTTP/1.1 and 1.0. G-FR-004"""
    gw = site(gateway, backend(Bulk(), read_body=False).url)
    for option in ("--http1.1", "--http1.0"):
        out = tmp_path / "out"
        curl(option, "-o", out, f"{gw.url}/{BIG}")
        assert hashlib.sha256(out.read_bytes()).hexdigest() == BIG_DIGEST


def test_large_answers_keep_their_connection(gateway, backend):
    """An event for octets that were read already is no reason to give up an upstream connection. F-PERF-01"""
    gw = site(gateway, backend(Bulk(), read_body=False).url, workers=1)
    with gw.client() as c:
        for _ in range(60):
            c.request("GET", f"/{3 * MB}")
            assert len(c.response().body) == 3 * MB
    assert gw.metric("gateway_upstream_connections_total") == 1


def test_upload_50_mb(gateway, backend, tmp_path):
    """The service gets every octet, with a length, chunked, and behind 100-continue. G-FR-003"""
    gw = site(gateway, backend(Bulk(), read_body=False).url)
    body = tmp_path / "in"
    body.write_bytes(b"".join(stream(BIG)))
    for header in ("Content-Type: x/y", "Transfer-Encoding: chunked", "Expect: 100-continue"):
        assert curl("-T", body, "-H", header, f"{gw.url}/up").decode() == BIG_DIGEST
    assert all(line["bytes_in"] > BIG for line in gw.access_log(3))


@pytest.mark.skipif(SANITIZED, reason="the allocator of the sanitizer keeps what is freed")
def test_slow_reader_costs_no_memory(gateway, backend):
    """A client that does not read stops the service, not fills the worker; every octet comes in the end."""
    origin = Bulk()
    gw = site(gateway, backend(origin, read_body=False).url, workers=1, listener='timeouts = { write = "60s"; };')
    worker = gw.child("worker")
    ask(gw.address, "GET", f"/{MB}")
    before = rss(worker)
    with gw.client() as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        c.request("GET", f"/{BIG}")
        sent = steady(lambda: origin.sent)
        assert sent < BIG / 2, "the service could send all of it"
        assert rss(worker) - before < 4 * MB
        assert hashlib.sha256(c.response().body).hexdigest() == BIG_DIGEST
    assert rss(worker) - before < 4 * MB


@pytest.mark.skipif(SANITIZED, reason="the allocator of the sanitizer keeps what is freed")
def test_slow_service_costs_no_memory(gateway, backend):
    """A service that does not read stops the client likewise."""
    gate = threading.Event()
    origin = Bulk(gate)
    gw = site(gateway, backend(origin, read_body=False).url, workers=1,
              service='timeouts = { idle = "60s"; first_byte = "60s"; };')
    worker = gw.child("worker")
    before = rss(worker)
    sent = [0]

    def send(c):
        for part in stream(BIG):
            c.send(part)
            sent[0] += len(part)

    with gw.client(timeout=60) as c:
        c.send(f"PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: {BIG}\r\n\r\n".encode())
        sender = threading.Thread(target=send, args=(c,), daemon=True)
        sender.start()
        assert steady(lambda: sent[0]) < BIG / 2, "the gateway took all of it"
        assert rss(worker) - before < 4 * MB
        gate.set()
        assert c.response().body.decode() == BIG_DIGEST
        sender.join(10)
    assert rss(worker) - before < 4 * MB


def test_many_connections(gateway, backend):
    """300 connections at once, each with its own requests and answers. G-SC-004"""
    gw = site(gateway, backend().url)
    clients = [gw.client() for _ in range(300)]
    for turn in range(3):
        for i, c in enumerate(clients):
            c.request("POST", f"/{turn}/{i}", {}, b"%d-%d" % (turn, i))
        for i, c in enumerate(clients):
            answer = c.response().json()
            assert (answer["target"], answer["body"]) == (f"/{turn}/{i}", f"{turn}-{i}")
    assert gw.metric("gateway_client_connections") >= 300
    for c in clients:
        c.close()
    until(lambda: gw.metric("gateway_client_connections") == 0, 5, "the connections to be gone")
    idle_again(gw)


# --- versions and addresses --------------------------------------------------------------------------------
def test_http_1_0(gateway, backend):
    """1.0: no Host needed, closed after the answer unless kept alive, nothing chunked."""
    gw = site(gateway, backend(lambda x: x.respond(200, {}, b"part and part", chunked=True)).url)
    with gw.client() as c:
        answer = c.ask("GET", "/", host=None, version="HTTP/1.0")
        assert answer.body == b"part and part" and answer.get("Transfer-Encoding") is None
    gw = site(gateway, backend().url)
    with gw.client() as c:
        for _ in range(3):
            answer = c.ask("GET", "/", {"Connection": "keep-alive"}, version="HTTP/1.0")
            assert answer.status == 200 and (answer.get("Connection") or "").lower() == "keep-alive"


@pytest.mark.parametrize("family,listen,connect", [
    ("inet6", "[::1]:@port@", "::1"), ("inet", "*:@port@", "::1"), ("inet6", "*:@port@", "127.0.0.1"),
    ("inet6", "[::]:@port@", "::1"), ("inet", "0.0.0.0:@port@", "127.0.0.1")])
def test_families(gateway, backend, family, listen, connect):
    """IPv6 and IPv4, listening and connecting, in every mixture; client addresses are written plainly. E-2"""
    b = backend(family=family)
    gw = site(gateway, b.url, address=listen, ready=False)
    where = (connect, gw.port)

    def ready():
        try:
            return ask(where, "GET", "/health", timeout=2).status == 200
        except (OSError, WireError):
            return False
    until(ready, 15, "/health")
    answer = ask(where, "GET", "/f").json()
    seen = dict((n.lower(), v) for n, v in answer["headers"])
    assert seen["x-forwarded-for"] == connect
    assert gw.access_log(1)[0]["client"].strip("[]") == connect


def test_base_path_and_literal(gateway, backend):
    """An IPv6 literal with a base path. E-2"""
    b = backend(family="inet6")
    gw = site(gateway, b.url + "/base")
    assert gw.ask("GET", "/x?y=1").json()["target"] == "/base/x?y=1"


def test_unix_sockets(gateway, backend, tmp_path):
    """A service on a Unix socket, with and without base path, and a listener on one. E-2"""
    path = f"/dev/shm/gw-test-{os.getpid()}.sock"
    b = backend(family="unix", path=path)
    gw = gateway("""
        services = ( { id = "plain"; url = "unix:@path@"; }, { id = "based"; url = "unix:@path@:/base"; } );
        routes = ( { id = "p"; path = "/p/*"; service = "plain"; }, { id = "b"; path = "/b/*"; service = "based"; } );
        listeners = ( { id = "main"; address = "127.0.0.1:@port@"; },
                      { id = "local"; address = "unix:@dir@/local.sock"; } );""", path=path, start=False)
    gw.start()
    assert gw.ask("GET", "/p/1").json()["target"] == "/p/1"
    assert gw.ask("GET", "/b/1").json()["target"] == "/base/b/1"
    assert ask(f"{gw.dir}/local.sock", "GET", "/p/2").json()["target"] == "/p/2"
    assert b.errors == []


# --- peers that are slow, early or gone --------------------------------------------------------------------
def test_client_that_takes_nothing(gateway, backend):
    """Write idle: the connection is cut, logged as slow, and the service is let go. G-FR-008"""
    origin = Bulk()
    gw = site(gateway, backend(origin, read_body=False).url, listener='timeouts = { write = "700ms"; };')
    with gw.client() as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        c.request("GET", f"/{BIG}")
        line = gw.access_log(1, timeout=10)[0]
        assert line["reason"] == "client_slow"
        with pytest.raises((WireError, OSError)):
            c.response()
    assert origin.failed.wait(5 * SLOW)
    idle_again(gw)


def test_client_gone_cancels_upstream(gateway, backend):
    """A client that goes mid-answer: the service's connection ends, counts return."""
    origin = Bulk()
    gw = site(gateway, backend(origin, read_body=False).url)
    c = gw.client()
    c.request("GET", f"/{BIG}")
    c.exactly(100000)
    c.close()
    assert origin.failed.wait(5 * SLOW)
    assert gw.access_log(1)[0]["reason"] == "client_gone"
    idle_again(gw)


def test_client_reset_before_the_answer(gateway, backend):
    """A reset while the service still thinks."""
    gate, ended = threading.Event(), threading.Event()

    def think(x):
        gate.set()
        x.wire.sock.settimeout(10 * SLOW)
        if x.wire.sock.recv(1) == b"":
            ended.set()
        x.close()

    gw = site(gateway, backend(think).url)
    c = gw.client()
    c.request("GET", "/")
    assert gate.wait(5 * SLOW)
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()
    assert ended.wait(5 * SLOW)
    assert gw.access_log(1)[0]["reason"] == "client_gone"
    idle_again(gw)


def test_half_closed_client_gets_its_answer(gateway, backend):
    """With half_close a client that only says it has no more to send is not gone: the answer comes, then the end."""
    gate = threading.Event()
    b = backend(lambda x: (gate.wait(10), x.respond(200, {}, b"late")))
    gw = gateway("""services = ( { id = "s"; url = "@url@"; } );
        routes = ( { id = "all"; path = "/*"; service = "s"; half_close = true; } );""", url=b.url)
    with gw.client() as c:
        c.request("GET", "/")
        c.sock.shutdown(socket.SHUT_WR)
        until(lambda: gw.metric("gateway_http_requests_active") == 1, 5, "the request")
        gate.set()
        assert c.response().body == b"late"
        assert c.closed()


def test_early_response(gateway, backend):
    """An answer before the body is whole reaches the client at once; that upstream connection is not used again."""
    def refuse(x):
        if x.request.method == "GET":
            x.respond(200, {}, b"next")
        else:
            x.respond(413, {}, b"enough")

    b = backend(refuse, read_body=False)
    gw = site(gateway, b.url, workers=1)
    with gw.client() as c:
        c.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        answer = c.response()
        assert (answer.status, answer.body) == (413, b"enough")
    assert gw.ask("GET", "/").body == b"next"
    assert b.connections == 2
    idle_again(gw)


def test_early_response_while_sending(gateway, backend):
    """A client that sends on regardless still reads the answer: no reset destroys it."""
    gw = site(gateway, backend(lambda x: x.respond(403, {}, b"no"), read_body=False).url)
    for _ in range(5):
        with gw.client() as c:
            c.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n")
            try:
                for _ in range(30):
                    c.send(b"x" * 10000)
            except OSError:
                pass
            assert c.response().body == b"no"


# --- trying again ------------------------------------------------------------------------------------------
class Stale:
    """Answers the first request of a connection; reads the second, and closes without a word."""

    def __call__(self, x):
        if x.number == 0:
            x.respond(200, {}, x.request.method.encode())
        else:
            x.close()


@pytest.mark.parametrize("method,again", [("GET", True), ("PUT", True), ("POST", False), ("PATCH", False)])
def test_stale_connection(gateway, backend, method, again):
    """Octets went out on a reused connection that then closed: repeated where that is safe, else 502."""
    b = backend(Stale())
    gw = site(gateway, b.url, workers=1, service="health = { passive = false; };")
    with gw.client() as c:
        assert c.ask("GET", "/one").status == 200
        answer = c.ask(method, "/two")
    seen = [r.method for r in b.requests if r.target == "/two"]
    if again:
        assert answer.status == 200 and seen == [method, method]
    else:
        assert answer.status == 502 and seen == [method]


def test_body_is_not_repeated(gateway, backend):
    """A body that was sent is gone: no second try, whatever the method."""
    b = backend(Stale())
    gw = site(gateway, b.url, workers=1, service="health = { passive = false; };")
    with gw.client() as c:
        assert c.ask("GET", "/one").status == 200
        assert c.ask("PUT", "/two", {}, b"body").status == 502
    assert [r.method for r in b.requests if r.target == "/two"] == ["PUT"]


def test_closed_while_idle_is_no_error(gateway, backend):
    """A pooled connection the service closed is noticed: a POST goes by another one."""
    b = backend(lambda x: (x.respond(200, {}, b"ok"), x.close()))
    gw = site(gateway, b.url, workers=1)
    for _ in range(20):
        assert gw.ask("POST", "/", {}, b"x").status == 200
        until(lambda: b.open == 0, 5, "the service to close")


def test_connect_failure_goes_on(gateway, backend):
    """Nobody listens on one endpoint: even POST goes to the next, and the failures are counted."""
    b = backend()
    gw = gateway("""
        services = ( { id = "s"; endpoints = ( { url = "http://127.0.0.1:@dead@"; }, { url = "@origin@"; } );
                       health = { passive = false; }; } );
        routes = ( { id = "all"; path = "/*"; service = "s"; } );""", origin=b.url, dead=free_port())
    for _ in range(10):
        assert gw.ask("POST", "/", {}, b"x").status == 200
    assert gw.metric("gateway_service_retries_total") == gw.metric("gateway_upstream_connect_failures_total") > 0
    assert max(line["attempts"] for line in gw.access_log(10)) == 2


def test_nobody_there(gateway):
    """502 at once when nobody listens, 503 when the endpoint was taken out. G-FR-007, G-SC-008"""
    gw = site(gateway, f"http://127.0.0.1:{free_port()}",
              service='retry = { attempts = 1; }; health = { passive = true; failures = 2; down = "30s"; };')
    began = time.monotonic()
    statuses = [gw.ask("GET", "/").status for _ in range(4)]
    assert statuses == [502, 502, 503, 503]
    assert time.monotonic() - began < 5
    assert gw.ctl_json("services")["services"][0]["_status"]["status"] == "down"


# --- trailers ----------------------------------------------------------------------------------------------
def test_trailers(gateway, backend):
    """They pass both ways, chunk sizes do not matter."""
    def handler(x):
        assert x.request.trailers == [("X-Up", "1")]
        x.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Down\r\n\r\n"
               b"3\r\nabc\r\n2;e=1\r\nde\r\n0\r\nX-Down: 2\r\n\r\n")

    b = backend(handler)
    gw = site(gateway, b.url)
    with gw.client() as c:
        for _ in range(2):
            c.send(b"POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Up\r\nTransfer-Encoding: chunked\r\n\r\n"
                   b"3\r\nabc\r\n0\r\nX-Up: 1\r\n\r\n")
            answer = c.response()
            assert answer.body == b"abcde" and answer.trailers == [("X-Down", "2")]
    assert b.errors == []


# --- limits ------------------------------------------------------------------------------------------------
def spin(pid, seconds=1.0):
    """The share of a CPU that the process uses while nothing happens."""
    used = cpu(pid)
    time.sleep(seconds)
    return (cpu(pid) - used) / seconds


def test_connection_limit(gateway, backend):
    """At the limit new connections wait, without a spin; when one ends the next is served. E-5"""
    gate = threading.Event()
    gw = site(gateway, backend(lambda x: (gate.wait(30), x.respond(200, {}, b"ok"))).url, workers=1,
              service='timeouts = { first_byte = "60s"; };',
              extra='limits = { worker_slots = 4; connections = 5; map_size = "16M"; };')
    worker = gw.child("worker")
    busy = [gw.client(timeout=60).request("GET", "/") for _ in range(5)]
    until(lambda: gw.metric("gateway_http_requests_active") == 5, 5, "five requests")
    late = gw.client(timeout=60).request("GET", "/late")
    until(lambda: gw.metric("gateway_accept_pauses_total") >= 1, 5, "accepting to pause")
    assert spin(worker) < 0.2
    assert gw.metric("gateway_http_requests_active") == 5
    gate.set()
    for c in busy + [late]:
        assert c.response().status == 200
        c.close()


def test_idle_connections_make_room(gateway, backend):
    """At the limit a connection that is only kept alive gives way to one that asks. E-5"""
    gw = site(gateway, backend().url, workers=1, extra='limits = { worker_slots = 4; connections = 5; };')
    idle = [gw.client() for _ in range(5)]
    for c in idle:
        assert c.ask("GET", "/").status == 200
    assert gw.ask("GET", "/new").status == 200
    for c in idle:
        c.close()


def test_listener_limit(gateway, backend):
    """A listener's own limit leaves the others alone. E-5"""
    port = free_port()
    gate = threading.Event()
    gw = gateway("""
        workers = 1;
        services = ( { id = "s"; url = "@origin@"; } );
        routes = ( { id = "all"; path = "/*"; service = "s"; } );
        listeners = ( { id = "main"; address = "127.0.0.1:@port@"; },
                      { id = "small"; address = "127.0.0.1:@small@"; limits = { connections = 2; }; } );""",
                 origin=backend(lambda x: (gate.wait(20), x.respond(200))).url, small=port)
    few = [Client(("127.0.0.1", port)).request("GET", "/") for _ in range(2)]
    until(lambda: gw.metric("gateway_http_requests_active") == 2, 5, "two requests")
    third = Client(("127.0.0.1", port)).request("GET", "/")
    assert gw.ask("GET", "/health").status == 200
    assert gw.metric("gateway_http_requests_active") == 2
    gate.set()
    for c in few:
        assert c.response().status == 200
        c.close()
    assert third.response().status == 200
    third.close()


def test_descriptors_run_out(gateway, backend):
    """Accepting pauses where descriptors run out, without a spin, and goes on when there are some. E-5"""
    gw = site(gateway, backend().url, workers=1, start=False, extra="""
        limits = { worker_slots = 4; connections = 10000; descriptors = 0; map_size = "16M"; };""")
    few = gw.dir / "few-descriptors"
    few.write_text(f'#!/bin/sh\nulimit -n 100\nexec "{gw.binary}" "$@"\n')
    few.chmod(0o755)
    gw.binary = few
    gw.start()
    worker = gw.child("worker")
    many = [gw.client() for _ in range(120)]
    until(lambda: gw.metric("gateway_accept_pauses_total") >= 1, 5, "accepting to pause")
    assert spin(worker) < 0.25
    gw.wait_log(r"accepting pauses")
    for c in many:
        c.close()

    def served():
        try:
            return gw.ask("GET", "/", timeout=2).status == 200
        except (OSError, WireError):
            return False
    until(served, 10, "service after the rush")
    assert gw.child("worker") == worker


# --- what it costs -----------------------------------------------------------------------------------------
@pytest.fixture
def origin():
    with Origin() as o:
        yield o


def wrk(address, path, clients, rate, seconds, tmp_path):
    """Fixed rate: each client asks, waits, asks again. {"p50", "p99", "max"} in ms, "requests", "errors"."""
    script = tmp_path / f"pace-{clients}.lua"
    script.write_text(f"""
        function delay() return math.random(0, {2000 * clients // rate}) end
        function done(summary, latency)
            io.write(string.format("RESULT %d %d %f %f %f\\n", summary.requests,
                summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status +
                summary.errors.timeout, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
                latency.max / 1000))
        end""")
    done = subprocess.run(["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "-s", str(script), "--timeout", "10s",
                           f"http://{address[0]}:{address[1]}{path}"], capture_output=True, text=True, check=True,
                          timeout=60 * SLOW)
    n, errors, p50, p99, most = re.search(r"RESULT (\S+) (\S+) (\S+) (\S+) (\S+)", done.stdout).groups()
    return {"requests": int(n), "errors": int(errors), "p50": float(p50), "p99": float(p99), "max": float(most)}


def patiently(claim, tries=4):
    """A claim about time on a machine that others use: it must hold once."""
    for turn in range(tries):
        try:
            return claim()
        except AssertionError:
            if turn + 1 == tries:
                raise


def test_urgent_listeners(gateway, backend):
    """A listener becomes urgent, and ceases to be, by a reload; kept connections and new ones go on. G-SC-003, F-PERF-01"""
    port = free_port()
    conf = """
        workers = 1;
        services = ( { id = "s"; url = "@origin@"; } );
        routes = ( { id = "all"; path = "/*"; service = "s"; } );
        listeners = ( { id = "main"; address = "127.0.0.1:@port@"; },
                      { id = "health"; address = "127.0.0.1:@health@"; %s } );"""
    gw = gateway(conf % "", origin=backend().url, health=port)
    with Client(("127.0.0.1", port)) as kept, gw.client() as other:
        for setting in ("urgent = true;", "urgent = false;", "urgent = true;"):
            gw.reload(conf % setting)
            for where in (kept, other):
                where.request("GET", "/health")
                assert where.response().status == 200
            with Client(("127.0.0.1", port)) as new:
                for _ in range(3):
                    new.request("GET", "/")
                    assert new.response().status == 200


@pytest.mark.xdist_group("alone")
def test_overhead_and_health(gateway, origin, tmp_path):
    """What the gateway adds at the median is far below 100 ms; /health takes less than 50.
    G-SC-001, G-SC-002, G-SC-003, G-FR-005"""
    gw = site(gateway, origin.url)

    def claim():
        direct = wrk(origin.address, "/1024", 4, 200, 1, tmp_path)
        through = wrk(gw.address, "/1024", 4, 200, 1, tmp_path)
        health = wrk(gw.address, "/health", 4, 200, 1, tmp_path)
        print(direct, through, health)
        assert direct["errors"] == through["errors"] == health["errors"] == 0
        assert through["p50"] - direct["p50"] < 5 * SLOW
        assert through["p99"] < 100 and health["p99"] < 50
    patiently(claim)


@pytest.mark.xdist_group("alone")
def test_hundred_clients(gateway, origin, tmp_path):
    """No errors with 100 clients, and at the same rate p99 stays near that of 10 clients. G-SC-004"""
    gw = site(gateway, origin.url)

    def claim():
        few = wrk(gw.address, "/1024", 10, 1000 // SLOW, 2, tmp_path)
        many = wrk(gw.address, "/1024", 100, 1000 // SLOW, 2, tmp_path)
        print(few, many)
        assert few["errors"] == many["errors"] == 0 and many["requests"] > 500 // SLOW
        assert many["p99"] <= max(2 * few["p99"], few["p99"] + 5)
    patiently(claim)
    full = wrk(gw.address, "/1024", 100, 1000000, 2, tmp_path)
    assert full["errors"] == 0 and full["requests"] > 1000
    idle_again(gw)
