# SPDX-License-Identifier: Apache-2.0
"""Limits of HTTP/2 (R-5.1, R-7.1): what costs the receiver more than the sender is let go on for so long, then the
connection is ended with ENHANCE_YOUR_CALM and counted by what it was; nobody else notices.

Rows are shm/h2_abuse.def's; test_rows holds this file against it.
"""
import re
import struct
import threading
from pathlib import Path

import pytest

import http2
from backend import Backend
from gateway import SANITIZED, Gateway, until
from http2 import (ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR,
                   HEADERS, INITIAL_WINDOW_SIZE, PING, PRIORITY, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM, SETTINGS,
                   STREAM_CLOSED, WINDOW_UPDATE, block, integer, literal, octets, request, settings_octets)
from ports import free_port

TOP = Path(__file__).resolve().parents[2]
CONF = """
    workers = 1;
    services = ( { id = "s"; url = "@origin@"; }, { id = "h"; url = "@two@"; protocol = "http2"; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; }, { id = "two"; path = "/2/*"; service = "h"; } );
    listeners = ( { id = "main"; address = "127.0.0.1:@port@"; limits = { headers = 16384; header_count = 100; };
                    http2 = { streams = 1000; }; },
                  { id = "few"; address = "127.0.0.1:@few@"; http2 = { streams = 50; }; } );
"""
GET = block(request("GET", "/x"))


def u32(n):
    return struct.pack(">I", n)


class Site:
    def __init__(self):
        self.held = threading.Event()
        self.origin = Backend(self._answer)
        self.two = http2.Server(lambda x: x.respond(200, [], b"two"))
        self.gw = Gateway(CONF, origin=self.origin.url, two=self.two.url, few=free_port())

    def _answer(self, x):
        if x.request.target.startswith("/held"):
            self.held.wait(20)
        x.respond(200, body=b"x" * (300000 if x.request.target.startswith("/large") else 10))


@pytest.fixture(scope="module")
def site():
    s = Site()
    with s.gw:
        yield s
        s.held.set()
    s.origin.close()
    s.two.close()


def memory(gw):
    """Octets of RAM its workers have of their own."""
    total = 0
    for pid in gw.children("worker"):
        total += int(re.search(r"Private_Dirty:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text())[1]) << 10
    return total


# --- floods: {word of the row: [(id, what is sent in one step, how often)]} ----------------------
def resets(c, i):
    stream = c.begin("GET", "/held")
    c.rst(stream)


def open_resets(c, i):
    stream = c.begin("POST", "/large", end=False)
    c.rst(stream)


def window_overflow(c, i):
    """MadeYouReset: the server resets, the client does not."""
    stream = c.begin("GET", "/held")
    c.update(stream, 0x7fffffff)


def window_zero(c, i):
    stream = c.begin("GET", "/held")
    c.update(stream, 0)


def length_wrong(c, i):
    stream = c.begin("POST", "/held", [("content-length", "5")], end=False)
    c.data(stream, b"abc")


def pseudo_wrong(c, i):
    c.headers(c.stream(), block([(":method", "GET"), (":method", "GET")]), raw=True)


def data_closed(c, i):
    stream = c.begin("GET", "/held")
    c.data(stream, b"x")


def trailers_open(c, i):
    stream = c.begin("POST", "/held", end=False)
    c.headers(stream, [("a", "b")], end=False)


def big_head(c, i):
    """A little over the limit, each on a stream of its own."""
    stream = c.stream()
    c.headers(stream, block(request("GET", "/x", ("a", "b" * 17000))), raw=True)


def many_fields(c, i):
    c.headers(c.stream(), block(request("GET", "/x", *[(f"x-{k}", "1") for k in range(120)])), raw=True)


def bomb(c, i):
    """One large entry of the table, referred to again and again."""
    if i == 0:
        c.headers(c.stream(), GET + literal("a", "b" * 4000, prefix=b"\x40"), raw=True)
    else:
        c.headers(c.stream(), GET + b"\xbe" * 16000, raw=True)


def bomb_one(c, i):
    stream = c.stream()
    c.headers(stream, GET + literal("a", "b" * 4000, prefix=b"\x40") + b"\xbe" * 100000, raw=True)


def frame(*args):
    return lambda c, i: c.frame(*args)


def continuation(c, i):
    if i == 0:
        c.frame(HEADERS, END_STREAM, 1, GET[:10])
    c.frame(CONTINUATION, 0, 1, b"")


def continuation_data(c, i):
    if i == 0:
        c.frame(HEADERS, END_STREAM, 1, GET)
    c.frame(CONTINUATION, 0, 1, literal("x-a", "b" * 1000))


def empty_data(c, i):
    if i == 0:
        c.begin("POST", "/x", end=False)
    c.frame(DATA, 0, 1)


def padded_nothing(c, i):
    if i == 0:
        c.begin("POST", "/x", end=False)
    c.frame(DATA, 8, 1, b"\x10" + b"\0" * 16)


def window_stream(c, i):
    if i == 0:
        c.begin("GET", "/held")
    c.send(octets(WINDOW_UPDATE, 0, 1, u32(1)) * 100)


def window_conn(c, i):
    c.send(octets(WINDOW_UPDATE, 0, 0, u32(1)) * 100)


def priority(c, i):
    c.send(octets(PRIORITY, 0, 2 * i + 1, u32(0) + b"\x10") * 10)


def settings(c, i):
    c.settings({INITIAL_WINDOW_SIZE: 1000 + i})


FLOODS = [
    ("resets_received", "rapid-reset", resets, 2000, ()),
    ("resets_received", "rapid-reset-open", open_resets, 2000, ()),
    ("resets_sent invalid_frames", "made-you-reset-window", window_overflow, 2000, (PROTOCOL_ERROR, FLOW_CONTROL_ERROR)),
    ("resets_sent invalid_frames", "made-you-reset-zero", window_zero, 2000, (PROTOCOL_ERROR,)),
    ("resets_sent invalid_frames", "made-you-reset-length", length_wrong, 2000, ()),
    ("resets_sent invalid_frames", "made-you-reset-head", pseudo_wrong, 2000, ()),
    ("resets_sent invalid_frames", "made-you-reset-closed", data_closed, 2000, (STREAM_CLOSED,)),
    ("resets_sent invalid_frames", "made-you-reset-trailers", trailers_open, 2000, (PROTOCOL_ERROR,)),
    ("settings", "settings", settings, 2000, ()),
    ("settings", "settings-acks", frame(SETTINGS, ACK, 0), 2000, (PROTOCOL_ERROR,)),
    ("pings", "pings", frame(PING, 0, 0, b"12345678"), 5000, ()),
    ("pings", "ping-acks", frame(PING, ACK, 0, b"12345678"), 5000, ()),
    ("window_updates", "windows-stream", window_stream, 1000, ()),
    ("window_updates", "windows-conn", window_conn, 1000, ()),
    ("empty_frames", "empty-data", empty_data, 5000, ()),
    ("empty_frames", "padding-alone", padded_nothing, 5000, ()),
    ("priorities", "priority", priority, 1000, ()),
    ("large_headers", "heads-too-large", big_head, 500, ()),
    ("large_headers", "heads-of-many-fields", many_fields, 500, ()),
    ("large_headers", "hpack-bomb", bomb, 300, ()),
    ("large_headers continuations", "hpack-bomb-one-head", bomb_one, 1, ()),
    ("continuations", "continuation-empty", continuation, 5000, ()),
    ("continuations large_headers", "continuation-data", continuation_data, 5000, ()),
]


def calmed(gw):
    return {dict(labels)["reason"]: v for (name, labels), v in gw.metrics().items() if name == "gateway_http2_calmed_total"}


@pytest.mark.parametrize("words, step, most, also", [pytest.param(w, s, n, a, id=i) for w, i, s, n, a in FLOODS])
def test_flood(site, words, step, most, also):
    """R-7.1: a flood ends in ENHANCE_YOUR_CALM (or the error that its first frame is), is counted, and costs others nothing."""
    gw = site.gw
    before, pids = calmed(gw), gw.children("worker")
    with http2.Client(gw.address) as other, http2.Client(gw.address, settings={INITIAL_WINDOW_SIZE: 100}) as c:
        mine = other.begin("GET", "/large")
        had = memory(gw)
        c.wait_type(SETTINGS, flags=ACK)  # what the kit acknowledges must not come into the middle of a flood
        reader = threading.Thread(target=drain, args=(c,), daemon=True)
        reader.start()
        try:
            for i in range(most):
                first = c.next
                step(c, i)
                if c.eof or c.goaway:
                    break
                if i % 100 == 99 and c.next > first:
                    pace(c, i)
        except OSError:
            pass
        reader.join(20)
        assert not reader.is_alive(), f"still open after {i + 1} steps"
        assert c.goaway and c.goaway.code in (ENHANCE_YOUR_CALM, *also), c.goaway
        if not SANITIZED:
            assert memory(gw) - had < 8 << 20
        assert len(other.take(mine).body) == 300000 and other.ask("GET", "/2/x").body == b"two"
        assert other.goaway is None
    if c.goaway.code == ENHANCE_YOUR_CALM:
        def told():
            now = calmed(gw)
            return [w for w in now if now[w] > before[w]]
        counted = until(told, what="the count")
        assert len(counted) == 1 and counted[0] in words.split(), counted
    site.held.set()
    until(lambda: gw.metric("gateway_client_connections") == 0, what="every connection to be counted off")
    site.held.clear()
    assert gw.children("worker") == pids


def pace(c, i):
    """What was begun until now was looked at: a peer that has too many streams open is another case."""
    mark = struct.pack(">Q", i)
    c.ping(mark)
    with c.room:
        assert c.room.wait_for(lambda: c.goaway or c.eof or any(f.type == PING and f.payload == mark for f in c.seen), 20)


def drain(c):
    try:
        while c.read(10):
            pass
    except (OSError, http2.H2Error, struct.error):
        pass


def test_rows(site):
    """Every row of shm/h2_abuse.def has a metric, and a flood here."""
    rows = re.findall(r'(?m)^ABUSE\(\w+, \d+, "(\w+)"', (TOP / "shm/h2_abuse.def").read_text())
    assert set(rows) == set(calmed(site.gw))
    assert set(rows) == {w for words, *_ in FLOODS for w in words.split()}


def test_flood_is_told(site):
    """R-7.1: the log says whose connection it was and why, once a second at most."""
    with http2.Client(site.gw.address) as c:
        c.send(octets(PING, 0, 0, b"12345678") * 300)
        assert c.wait_goaway() == ENHANCE_YOUR_CALM
    assert site.gw.wait_log(r"listener main: HTTP/2 connection of 127\.0\.0\.1:\d+ ended: too many \w+")


def test_no_flood(site):
    """R-5.1: a busy client that behaves is never calmed: 3,000 requests, PING and WINDOW_UPDATE among them."""
    with http2.Client(site.gw.address) as c:
        for i in range(60):
            streams = [c.begin("GET", "/x") for _ in range(50)]
            assert all(a.status == 200 for a in c.take_all(streams).values())
            if i % 10 == 0:
                c.synced()
        assert c.goaway is None


def test_writes_not_read(site):
    """R-7.1: a client that asks and does not read costs no more than buffers, and its PINGs are bounded."""
    gw = site.gw
    had = memory(gw)
    clients = [http2.Client(gw.address, settings={INITIAL_WINDOW_SIZE: 0x7fffffff}, rcvbuf=4096) for _ in range(4)]
    for c in clients:
        c.update(0, 0x7fffffff - 65535)
        for _ in range(40):
            c.begin("GET", "/large")
    assert http2.ask(gw.address, "GET", "/x").status == 200
    if not SANITIZED:
        assert memory(gw) - had < 24 << 20
    for c in clients:
        c.close()
    until(lambda: gw.metric("gateway_client_connections") == 0)


def test_max_streams(site):
    """R-5.1: no more than http2.streams requests of a connection are at work at a time; others are not touched."""
    few = (site.gw.host, site.gw.words["few"])
    with http2.Client(few) as other, http2.Client(few) as c:
        c.wait_type(SETTINGS, flags=ACK)
        try:
            for _ in range(200):
                c.begin("GET", "/held/max")
        except OSError:
            pass
        assert other.ask("GET", "/x").status == 200
        while not c.goaway and c.read():
            pass
        assert c.goaway.code in (PROTOCOL_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM)
    assert len([r for r in site.origin.requests if r.target == "/held/max"]) <= 50
    site.held.set()
    until(lambda: site.gw.metric("gateway_client_connections") == 0)
    site.held.clear()


@pytest.mark.parametrize("over", ["octets", "fields"])
def test_head_limits(site, over):
    """R-7.1: a head over limits.headers or header_count is 431, the next on the connection is read with the right table."""
    with http2.Client(site.gw.address) as c:
        fields = [("x-large", "y" * 17000)] if over == "octets" else [(f"x-{i}", "1") for i in range(110)]
        assert c.ask("GET", "/x", fields).status == 431
        assert c.ask("GET", "/x", fields[:1] if over == "fields" else []).status == 200
        stream = c.begin("POST", "/x", end=False)
        c.data(stream, b"x", end=False)
        c.headers(stream, fields)  # and trailers
        a = c.take(stream)
        assert a.status in (400, 431) or a.reset is not None, a
        assert c.ask("GET", "/x").status == 200


def test_table_size(site):
    """R-7.1: the table of a connection is as large as it was told, whatever the peer says it will use."""
    with http2.Client(site.gw.address) as c:
        c.frame(HEADERS, END_HEADERS | END_STREAM, 1, integer(1 << 24, 5, 0x20) + GET)
        assert c.wait_goaway() == COMPRESSION_ERROR


def test_upstream_floods(site, gateway):
    """R-7.1: an upstream's flood ends its connection, with 502 or a reset for who waited, and the worker lives on."""
    kinds = {
        "ping": octets(PING, 0, 0, b"12345678") * 5000,
        "settings": settings_octets() * 5000,
        "window": octets(WINDOW_UPDATE, 0, 0, u32(1)) * 50000,
        "priority": octets(PRIORITY, 0, 1, u32(0) + b"\x10") * 20000,
        "continuation": octets(HEADERS, 0, 1, block([(":status", "200")])) + octets(CONTINUATION, 0, 1) * 5000,
        "interim": octets(HEADERS, END_HEADERS, 1, block([(":status", "103")])) * 20000,
        "empty": octets(HEADERS, END_HEADERS, 1, block([(":status", "200")])) + octets(DATA, 0, 1) * 50000,
        "bomb": octets(HEADERS, 0, 1, block([(":status", "200")]) + literal("a", "b" * 4000, prefix=b"\x40"))
        + octets(CONTINUATION, END_HEADERS, 1, b"\xbe" * 16000),
        "large": octets(HEADERS, 0, 1, block([(":status", "200")]) + literal("a", "b" * 16000))
        + octets(CONTINUATION, 0, 1, literal("a", "b" * 16000)) * 6 + octets(CONTINUATION, END_HEADERS | END_STREAM, 1),
    }
    flood = [None]

    def raw(c):
        c.settings()
        c.wait_type(HEADERS)
        try:
            c.send(flood[0])
        except OSError:
            pass
        f = c.read()
        while f and f.type != RST_STREAM:
            f = c.read()
    with http2.Server(raw=raw) as s:
        gw = gateway("""workers = 1;
            services = ( { id = "s"; url = "@s@"; protocol = "http2"; timeouts = { first_byte = "5s"; }; health = { passive = false; }; } );
            routes = ( { id = "a"; path = "/*"; service = "s"; } );""", s=s.url)
        pids = gw.children("worker")
        had = memory(gw)
        for kind, data in kinds.items():
            flood[0] = data
            with http2.Client(gw.address) as c:
                a = c.ask("GET", "/" + kind)
                assert a.status == 502 or a.reset is not None, (kind, a)
            until(lambda: s.open == 0, 10, f"the connection to end after {kind}")
        assert gw.children("worker") == pids
        if not SANITIZED:
            assert memory(gw) - had < 8 << 20
