# SPDX-License-Identifier: Apache-2.0
"""WebSockets and event streams over TLS, with clients that are not ours: python3-websockets, node's ws, Chromium;
through reloads and replaced certificates; and what the service sees of a client that leaves.
R-7.1 R-7.3 R-7.4 S-AI-1 S-SEC-4"""
import json
import os
import random
import socket
import ssl
import struct
import threading
import time

import pytest

from clients import Browser, Node
from gateway import SLOW, until
from pki import replace
from sockets import Sockets
from tls import NAME, certificate, client, context, no_clients, peer, site, tls_url
from wire import WireError

SERVICES = ', {{ id = "w"; url = "{}"; }}'
ROUTES = ', { id = "chat"; path = "/chat/*"; service = "w"; websocket = { enabled = true; }; }'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n"
AT_ONCE = 0.2 * SLOW


@pytest.fixture
def ws():
    with Sockets() as made:
        yield made


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


class Service:
    """/page: an empty page; /events, /data: streams that the test feeds by say(); anything else: an echo."""

    def __init__(self):
        self.streams, self.gone = [], []
        self.lock = threading.Lock()

    def __call__(self, x):
        path = x.request.target.split("?")[0]
        if path == "/page":
            x.respond(200, {"Content-Type": "text/html"}, b"<!doctype html><title>test</title>")
        elif path in ("/events", "/data", "/silent"):
            if path != "/silent":
                x.send(HEAD % (b"text/event-stream" if path == "/events" else b"application/octet-stream"))
            with self.lock:
                self.streams.append(x)
            try:
                while x.wire.sock.recv(1):
                    pass
            except OSError:
                pass
            self.gone.append(time.monotonic())
            x.close()
        else:
            x.echo()

    def say(self, data):
        with self.lock:
            for x in self.streams:
                x.send(chunk(data))


class Site:
    """A gateway whose certificate is in files that the test replaces."""

    def __init__(self, gateway, backend, ws, pki, **kw):
        self.pki, self.service, self.leaf = pki, Service(), pki.leaf(NAME)
        self.gw = site(gateway, backend(self.service), certificate("a", self.leaf),
                       services=SERVICES.format(ws.serve(max_size=None).url), routes=ROUTES, **kw)

    def replace(self, how):
        """A new certificate into the same files; by "file" nothing more is done, by "HUP" the gateway is told."""
        new = self.pki.leaf(NAME)
        generation = self.gw.metric("gateway_generation")
        replace(self.leaf.key, new.key)
        replace(self.leaf.chain, new.chain)
        if how == "HUP":
            self.gw.reload()
            assert self.gw.metric("gateway_generation") >= generation
        until(lambda: peer(self.gw) == new.fingerprint, 20, "the new certificate to be offered", 0.1)
        return new


@pytest.fixture
def made(gateway, backend, ws, pki):
    return lambda **kw: Site(gateway, backend, ws, pki, **kw)


# --- WebSockets -------------------------------------------------------------------------------------
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_websockets(made, ws, pki, version):
    """Messages of every size both ways over TLS; close codes; the line says https. R-7.1"""
    s = made()
    tls = context(pki.ca(), version=version, alpn=())
    c = ws.connect(tls_url(s.gw, "127.0.0.1") + "/chat/a", ssl=tls, server_hostname=NAME, max_size=None)
    big = os.urandom(3_000_000)
    for message in ("hello", "", b"\0\1", big, "x" * 1_000_000):
        assert c.ask(message) == message
    c.ping()
    c.close(4001, "bye")
    line = s.gw.access_log(1, lambda a: a.get("protocol") == "websocket")[0]
    assert line["scheme"] in ("https", "wss") and line["close_code"] == 4001 and line["closed_by"] == "client"
    no_clients(s.gw)


def test_websockets_both_sides_fill(made, ws, pki):
    """Either side may stop reading: nothing is lost once it goes on, and the other direction never stops. R-7.1"""
    s = made()
    all_ = [ws.connect(tls_url(s.gw, "127.0.0.1") + f"/chat/{i}", ssl=context(pki.ca(), alpn=()), server_hostname=NAME,
                       max_size=None, max_queue=2) for i in range(5)]
    parts = [os.urandom(400_000) for _ in range(5)]
    for c in all_:
        for p in parts:
            c.send(p)
    for c in all_:
        assert [c.recv() for _ in parts] == parts
        c.close()
    no_clients(s.gw)


@pytest.mark.parametrize("how", ["HUP", "file"])
def test_streams_through_a_new_certificate(made, ws, pki, how):
    """WebSockets and event streams over TLS 1.2 and 1.3 and a download go on while the certificate is replaced; who
    comes after sees the new one. R-7.3 S-SEC-4"""
    s = made()
    clients, sockets = [], []
    for version in ("1.2", "1.3"):
        tls = context(pki.ca(), version=version, alpn=())
        for path in ("/events", "/data"):
            c = client(s.gw, tls)
            c.request("GET", path, host=NAME)
            c.head()
            clients.append(c)
        sockets += [ws.connect(tls_url(s.gw, "127.0.0.1") + "/chat/a", ssl=tls, server_hostname=NAME) for _ in range(5)]
    for turn in range(3):
        s.replace(how)
        s.service.say(b"data: %d\n\n" % turn)
        for c in clients:
            assert c.until(b"data: %d\n\n\r\n" % turn) is not None
        for c in sockets:
            assert c.ask(f"turn {turn}") == f"turn {turn}"
    for c in clients:
        c.close()
    for c in sockets:
        c.close()
    assert not s.gw.access_log(0, lambda a: a.get("reason") not in (None, "client_gone"))
    no_clients(s.gw)


def test_node_ws(made, pki):
    """npm's ws: verified by our root, compressed, echoed, through a reload with another certificate. R-7.1 R-7.3"""
    s = made()
    urls = [f"wss://127.0.0.1:{s.gw.words['tls']}/chat/{i}" for i in range(20)]
    with Node("ws.js", pki.ca().bundle, NAME, *urls) as node:
        for _ in urls:
            assert node.expect(lambda m: "open" in m)["open"] == "TLSv1.3"
        for turn in range(3):
            s.replace("HUP" if turn % 2 else "file")
            for i in range(len(urls)):
                node.tell([i, "send", f"{turn} " + "x" * 50_000])
            got = [node.expect(lambda m: "message" in m) for _ in urls]
            assert sorted(m["which"] for m in got) == list(range(len(urls)))
            assert {m["message"] for m in got} == {f"{turn} " + "x" * 50_000}
        node.tell(["state"])
        assert node.expect(lambda m: "state" in m)["state"] == [1] * len(urls)
        for i in range(len(urls)):
            node.tell([i, "close", 1000])
        assert [node.expect(lambda m: "close" in m)["close"] for _ in urls] == [1000] * len(urls)
        assert not [m for m in node.seen if "error" in m]


def test_node_ws_wants_our_root(made, pki):
    """Without it: no connection; that is, the client does verify."""
    s = made()
    with Node("ws.js", pki.ca("foreign").bundle, NAME, f"wss://127.0.0.1:{s.gw.words['tls']}/chat/a") as node:
        assert "certificate" in node.expect(lambda m: "error" in m)["error"].lower()


PAGE = """
(async () => {
	window.seen = { events: [], errors: [], messages: [], octets: 0, opened: 0 };
	const seen = window.seen;
	const source = new EventSource("/events");
	source.onopen = () => seen.opened++;
	source.onmessage = (e) => seen.events.push(e.data);
	source.onerror = () => seen.errors.push("events: " + source.readyState);
	const socket = window.socket = new WebSocket("wss://" + location.host + "/chat/browser");
	socket.onmessage = (e) => seen.messages.push(e.data);
	socket.onclose = (e) => seen.errors.push("socket: " + e.code);
	await new Promise((r, j) => { socket.onopen = r; socket.onerror = j; });
	const answer = await fetch("/data");
	const reader = answer.body.getReader();
	(async () => {
		for (;;) {
			const { value, done } = await reader.read();
			if (done) { seen.errors.push("data: over"); break; }
			seen.octets += value.length;
		}
	})().catch((e) => seen.errors.push("data: " + e));
	while (!seen.opened) await new Promise((r) => setTimeout(r, 20));
	return true;
})()
"""


@pytest.mark.xdist_group("alone")
@pytest.mark.timeout(240 * SLOW)
def test_browser(made, pki, tmp_path):
    """Chromium, which trusts our root and nothing is waived: EventSource, WebSocket and a streamed fetch over TLS,
    each piece at once, through reloads with the certificate replaced, none opened anew. R-7.1 R-7.3 R-7.4"""
    s = made()
    with Browser(tls_url(s.gw) + "/page", tmp_path / "home", [pki.ca()]) as b:
        assert b.page.get("status") == 200 and b.page["security"]["protocol"] == "TLS 1.3", b.page
        assert b.value(PAGE) is True
        for turn in range(4):
            s.replace("HUP" if turn % 2 else "file")
            s.service.say(b"data: turn %d\n\n" % turn)
            b.value(f"socket.send('turn {turn}')")
            want = {"events": [f"turn {i}" for i in range(turn + 1)], "messages": [f"turn {i}" for i in range(turn + 1)],
                    "octets": (turn + 1) * len("data: turn 0\n\n"), "errors": [], "opened": 1}
            until(lambda: b.value("window.seen") == want, 10, f"{want} in the page", 0.1)
        assert b.value("fetch('/again').then((r) => r.status)") == 200
        assert b.value("window.seen")["errors"] == []
    until(lambda: len(s.service.gone) == 2, 10, "the service's streams to end with the page")
    no_clients(s.gw)


# --- cancellation -----------------------------------------------------------------------------------
def close_notify(c):
    """The polite end: TLS's, then TCP's."""
    c.sock.settimeout(0.2)
    try:
        c.sock.unwrap()
    except OSError:
        pass
    c.close()


def reset(c):
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()


LEAVE = {"close_notify": close_notify, "fin": lambda c: c.close(), "reset": reset}


@pytest.mark.parametrize("leave", LEAVE)
@pytest.mark.parametrize("path", ["/silent", "/events"])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_cancelled(made, pki, leave, path, version):
    """A client within TLS leaves, by an end of TLS, of TCP, or by a reset, before or within the answer: the
    service's connection ends at once. S-AI-1 R-7.4"""
    s = made(workers=1)
    c = client(s.gw, context(pki.ca(), version=version))
    c.request("GET", path, host=NAME)
    until(lambda: s.service.streams, 5, "the request at the service")
    if path == "/events":
        c.head()
        s.service.say(b"data: 1\n\n")
        c.until(b"data: 1\n\n\r\n")
    left = time.monotonic()
    LEAVE[leave](c)
    until(lambda: s.service.gone, 5, "the service's end")
    assert s.service.gone[0] - left < AT_ONCE + (0.3 if leave == "close_notify" else 0)
    line = s.gw.access_log(1, lambda a: a.get("path") == path)[0]
    assert line["status"] == 499 and line["reason"] == "client_gone", line
    s.gw.wait_metric("gateway_endpoint_in_flight", 0)
    no_clients(s.gw)


def test_cut_short_is_no_end(gateway, backend, pki):
    """A service that breaks off in the middle: the client sees an end that is none, not a whole answer."""
    def half(x):
        x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        x.reset()
    gw = site(gateway, backend(half), certificate("a", pki.leaf(NAME)))
    with client(gw, context(pki.ca())) as c:
        c.request("GET", "/", host=NAME)
        with pytest.raises((OSError, WireError)):
            c.response()
    no_clients(gw)


def mirror(x):
    """Sends a body back while it comes, in pieces of its own."""
    left = int(x.request.get("Content-Length"))
    rnd = random.Random(left)
    x.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
    while left:
        data, x.wire.buf = x.wire.buf, b""
        data = data or x.wire.sock.recv(min(left, rnd.choice((1, 100, 5000, 100_000))))
        if not data:
            break
        left -= len(data)
        if rnd.random() < 0.02:
            time.sleep(0.002)
        x.send(data)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_bodies_both_ways_at_random(gateway, backend, pki, version):
    """Bodies sent and read at once, in pieces of any size, with pauses on every side: not an
    octet is lost, doubled or in another place. R-7.4 S-AI-1"""
    gw = site(gateway, backend(mirror, read_body=False), certificate("a", pki.leaf(NAME)), workers=1)
    for size in (1, 16_383, 16_384, 16_385, 70_000, 900_000):
        body = random.Random(size).randbytes(size)
        with client(gw, context(pki.ca(), version=version)) as c:  # an answer that came early ends its connection
            c.request("POST", "/", {"Content-Length": str(size)}, host=NAME)
            assert exchanged(c, body, random.Random(size)) == body, size
    no_clients(gw)


def exchanged(c, body, rnd):
    """Sends this body while it reads the answer's; that."""
    c.sock.setblocking(False)
    sent, piece, got, head = 0, 1, b"", None
    end = time.monotonic() + 40 * SLOW
    while head is None or len(got) < len(body):
        assert time.monotonic() < end, (len(body), sent, len(got))
        try:
            if sent < len(body):
                sent += c.sock.send(body[sent:sent + piece])
                piece = rnd.choice((1, 500, 16_384, 60_000))  # what waits is tried again as it was
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        try:
            got += c.sock.recv(rnd.choice((1, 1000, 16_384, 60_000, 100_000)))
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            time.sleep(0.001)
        if head is None and b"\r\n\r\n" in got:
            head, got = got.split(b"\r\n\r\n", 1)
            assert head.startswith(b"HTTP/1.1 200 "), head
    return got


def test_many_streams_over_tls(made, pki):
    """300 event streams over TLS in two workers: each event reaches all, each client alone ends its own. R-7.4"""
    s = made()
    tls = context(pki.ca())
    held = []
    for _ in range(300):
        c = client(s.gw, tls)
        c.request("GET", "/events", host=NAME)
        c.head()
        held.append(c)
    until(lambda: len(s.service.streams) == 300, 20, "all of them at the service")
    for n in range(3):
        s.service.say(b"data: %d\n\n" % n)
        for c in held:
            c.until(b"data: %d\n\n\r\n" % n)
    for c in held:
        c.close()
    until(lambda: len(s.service.gone) == 300, 20, "all of them to be over at the service")
    no_clients(s.gw)
    lines = s.gw.access_log(300, lambda a: a.get("path") == "/events")
    assert {json.dumps([a["status"], a.get("reason")]) for a in lines} == {'[499, "client_gone"]'}
