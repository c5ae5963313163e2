# SPDX-License-Identifier: Apache-2.0
"""HTTP/2: ends of streams and connections, flow control, shared upstream connections, drain, all of it at random
(R-5.2, R-5.4, R-4.3, R-7.1).
"""
import random
import signal
import socket
import threading
import time

import pytest

import http2
from gateway import SLOW, until
from h2_site import CONF, site
from http2 import (CANCEL, DATA, GOAWAY, INITIAL_WINDOW_SIZE, INTERNAL_ERROR, MAX_CONCURRENT_STREAMS, NO_ERROR, REFUSED_STREAM,
                   RST_STREAM, block, request)
from wire import WireError


# --- ends of streams ------------------------------------------------------------------------------
def test_upstream_resets(gateway, backend, server):
    """R-5.4: an upstream's reset or end is 502 before the head, and a reset of the client's stream within the body."""
    def one(x):
        if x.request.target.endswith("body"):
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        x.close()

    def two(x):
        if x.path.endswith("body"):
            x.head(200)
            x.write(b"abc")
        x.reset(INTERNAL_ERROR if "internal" in x.path else CANCEL)
    gw = site(gateway, backend(one), server(two))
    with http2.Client(gw.address) as c:
        for path in ("/1/head", "/2/head", "/2/internal"):
            assert c.ask("POST", path, body=b"x").status == 502, path
        for path in ("/1/body", "/2/body", "/2/internal/body"):
            a = c.ask("POST", path, body=b"x")
            assert a.status == 200 and not a.ended and a.reset in (INTERNAL_ERROR, CANCEL), (path, a)
    with gw.client() as c:
        c.request("POST", "/2/body", body=b"x")
        assert c.head().status == 200
        with pytest.raises((WireError, OSError)):
            c.exactly(50)
    assert len([line for line in gw.access_log(7) if line.get("reason") == "upstream_aborted"]) == 4


def test_upstream_answers_early(gateway, backend, server):
    """R-5.4: an answer before the end of its request is whole; the rest of the body is not asked for."""
    def one(x):
        x.respond(413, body=b"no", headers=[("Connection", "close")])
    gw = site(gateway, backend(one, read_body=False), server(lambda x: x.respond(413, body=b"no")))
    with http2.Client(gw.address) as c:
        for to in "12":
            stream = c.begin("POST", f"/{to}/x", end=False)
            c.data(stream, b"x" * 1000, end=False)
            a = c.take(stream)
            assert a.status == 413 and a.body == b"no" and a.ended
            f = c.wait_type(RST_STREAM, stream)
            assert f.code == NO_ERROR
        assert c.ask("GET", "/2/x").status == 413


def test_client_resets(gateway, backend, server):
    """R-5.4: a client's RST_STREAM cancels at the upstream at once, and others' streams on its connection go on."""
    came, closed = threading.Semaphore(0), threading.Semaphore(0)
    gate = threading.Event()
    resets = []

    def two(x):
        if x.path.endswith("stay"):
            came.release()
            gate.wait(20)
            x.respond(200, [], b"stayed")
            return
        if "body" in x.path:
            x.head(200)
            x.write(b"abc")
        came.release()
        resets.append(x.wait_reset())
        closed.release()

    def one(x):
        if "body" in x.request.target:
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        came.release()
        x.wire.rest()
        x.close()
        closed.release()
    s = server(two)
    gw = site(gateway, backend(one), s)
    with http2.Client(gw.address) as c:
        stay = c.begin("GET", "/2/stay")
        assert came.acquire(timeout=10)
        for path in ("/2/head", "/2/body", "/1/head", "/1/body"):
            stream = c.begin("GET", path)
            assert came.acquire(timeout=10)
            if "body" in path:
                c.wait_type(DATA, stream)
            c.rst(stream)
            assert closed.acquire(timeout=10), path
        assert resets == [CANCEL, CANCEL] and len(s.conns) == 1 and s.open == 1
        gate.set()
        assert c.take(stay).body == b"stayed"
    assert len(gw.access_log(5, timeout=10)) == 5
    assert len([line for line in gw.access_log() if line.get("reason") == "client_gone"]) == 4


def test_client_leaves(gateway, server):
    """R-5.4: a connection that breaks cancels all its streams at the upstream."""
    resets, came = [], threading.Semaphore(0)

    def two(x):
        came.release()
        resets.append(x.wait_reset())
    s = server(two)
    gw = site(gateway, two=s)
    c = http2.Client(gw.address)
    resets.clear()
    for _ in range(10):
        c.begin("GET", "/2/x")
    for _ in range(10):
        assert came.acquire(timeout=10)
    c.reset()
    until(lambda: len(resets) == 10, what="all streams to be cancelled")
    assert resets == [CANCEL] * 10
    until(lambda: gw.metric("gateway_client_connections") == 0)


def test_half_closed_client(gateway, server):
    """R-5.4: what a client sent before it closed its sending side is answered or cancelled; nothing stays behind."""
    s = server(lambda x: x.respond(200, [], b"x"))
    gw = site(gateway, two=s)
    for _ in range(5):
        with http2.Client(gw.address) as c:
            c.begin("GET", "/2/x")
            c.sock.shutdown(socket.SHUT_WR)
            assert c.closed()
    until(lambda: gw.metric("gateway_client_connections") == 0)


# --- flow control ---------------------------------------------------------------------------------
def test_slow_reader(gateway, backend, server):
    """R-5.2: a stream nobody reads stops its upstream, and no other stream of either connection."""
    sent = []

    def two(x):
        if not x.path.endswith("large"):
            x.respond(200, [], b"small")
            return
        x.head(200)
        for i in range(800):
            sent.append(i)
            x.write(b"x" * 16384)
        x.write(b"", end=True)

    def one(x):
        x.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (16384 * 800))
        for i in range(800):
            sent.append(i)
            x.send(b"x" * 16384)
    gw = site(gateway, backend(one), server(two))
    for to in "21":
        sent.clear()
        with http2.Client(gw.address, credit=False) as c:
            slow = c.begin("GET", f"/{to}/large")
            got = 0
            while got < 65535:
                got += len(c.wait_type(DATA, slow).payload)
            c.update(0, 1 << 30)
            for _ in range(50):
                assert c.ask("GET", "/2/small").body == b"small"
            stopped = len(sent)
            time.sleep(0.2)
            assert len(sent) <= stopped + 64 and len(sent) < 790  # in buffers of sockets and windows
            c.update(slow, 1 << 30)
            while got < 16384 * 800:
                got += len(c.wait_type(DATA, slow).payload)


def spend(c, stream):
    """Payload on the stream until its window stays shut; how much."""
    total = 0
    while True:
        n = min(16384, c.windows[stream], c.window)
        if n > 0:
            c.data(stream, b"x" * n, end=False)
            total += n
            continue
        c.synced()
        if min(c.windows[stream], c.window) <= 0:
            time.sleep(0.05)
            c.synced()
            if c.windows[stream] <= 0:
                return total


def test_slow_upstream(gateway, server):
    """R-5.2: an upstream that does not take a body stops its client's stream, and no other; nothing is kept beyond the window."""
    gate = threading.Event()

    def two(x):
        if x.path.endswith("slow"):
            gate.wait(20)
            n = len(x.body())
            x.respond(200, [], b"%d" % n)
        else:
            x.echo()
    gw = site(gateway, two=server(two, settings={INITIAL_WINDOW_SIZE: 20000}))
    with http2.Client(gw.address) as c:
        assert c.ask("GET", "/2/first").status == 200  # the upstream's settings are known then
        slow = c.begin("POST", "/2/slow", end=False)
        total = spend(c, slow)
        assert total <= 20000 + 65536 + 300000
        for _ in range(20):
            assert c.ask("POST", "/2/quick", body=b"y" * 5000).status == 200
        gate.set()
        c.upload(slow, b"x" * 200000)
        assert int(c.take(slow).body) == total + 200000


def test_upload_behind_a_full_socket(gateway, backend):
    """R-5.2: what came while an HTTP/1.1 service was busy goes when it reads again: no chunk that was begun before keeps
    it back, for a client without a window has nothing more to say."""
    gate = threading.Event()

    def one(x):
        gate.wait(20)
        x.wire.body(x.request)
        x.respond(200, [], b"%d" % len(x.request.body))
    gw = site(gateway, backend(one, read_body=False))
    with http2.Client(gw.address) as c:
        stream = c.begin("POST", "/1/x", end=False)
        total = spend(c, stream)
        gate.set()
        c.upload(stream, b"x" * 200000)
        assert int(c.take(stream).body) == total + 200000


def test_download_behind_a_full_socket(gateway, server):
    """R-5.2: the same for an HTTP/1.1 client that reads again, of what an HTTP/2 service sent meanwhile."""
    size = 64 << 20
    s = server(lambda x: x.respond(200, [], b"x" * size))
    gw = site(gateway, two=s)
    with gw.client() as c:
        c.request("GET", "/2/x")
        until(lambda: s.requests)
        x, seen = s.requests[0], [0, -1]

        def stalled():
            seen[:] = seen[1], x.conn.windows[x.id] if x.conn.windows[x.id] <= 0 else None
            return seen[0] == seen[1] is not None
        until(stalled, 20, "a full window", step=0.3)
        assert len(c.response("GET").body) == size
    assert not s.errors


@pytest.mark.parametrize("to", ["1", "2"])
def test_uploads_leak_no_window(gateway, backend, server, to):
    """R-5.2, R-7.1: a thousand uploads that were broken off, by either side; then 10 MB pass on the same connection."""
    def one(x):
        if x.request.target.endswith("early"):
            x.respond(400, [("Connection", "close")], b"no")
        elif x.request.target.endswith("whole"):
            x.wire.body(x.request)
            x.respond(200, [], b"%d" % len(x.request.body))
        else:
            x.wire.rest()
            x.close()

    def two(x):
        if x.path.endswith("early"):
            x.respond(400, [], b"no")
        elif x.path.endswith("whole"):
            x.respond(200, [], b"%d" % len(x.body()))
        else:
            x.wait_reset()
    s = server(two)
    gw = site(gateway, backend(one, read_body=False), s)
    with http2.Client(gw.address) as c:
        for i in range(1000):
            abort = i % 7 == 0
            stream = c.begin("POST", f"/{to}/{'abort' if abort else 'early'}", end=False)
            while c.window < 8192:
                c.read()
            c.data(stream, b"x" * 8192, end=False)
            if abort:
                c.rst(stream)
            else:
                assert c.take(stream).status in (400, 502)
        a = c.ask("POST", f"/{to}/whole", body=b"x" * (10 << 20))
        assert a.status == 200 and int(a.body) == 10 << 20
        assert c.goaway is None
    # 143 of them left octets in the upstream's window too, or on their way to it.
    assert http2.ask(gw.address, "POST", f"/{to}/whole", body=b"x" * (2 << 20)).status == 200


class Uploader(http2.Client):
    """Counts what DATA takes of the connection's window, padding included."""

    def padded(self, stream, n, pad, end=False):
        """A DATA frame with padding (None: without)."""
        payload = b"x" * n if pad is None else bytes([pad]) + b"x" * n + bytes(pad)
        with self.lock:
            self.window -= len(payload)
            self.windows[stream] -= len(payload)
            self.frame(DATA, (http2.END_STREAM if end else 0) | (0 if pad is None else http2.PADDED), stream, payload)


def feed(c, r, stream, state):
    """One more piece of an upload, or its end, or its reset."""
    n, pad = r.choice([1, 500, 4096, 15000]), r.choice([None, None, None, 0, 1, 255])
    size = n + (0 if pad is None else pad + 1)
    if r.random() < .05:
        c.rst(stream)
        if size <= c.window and r.random() < .5:  # what was on its way behind it
            c.padded(stream, n, pad)
        return True
    if size > min(c.window, c.windows[stream]):
        return False
    state["left"] -= 1
    c.padded(stream, n, pad, end=state["left"] <= 0)
    return state["left"] <= 0


def uploads_at_random(c, r, rounds):
    """Many side by side, fed, read and dropped as it comes."""
    live = {}
    for _ in range(rounds):
        if len(live) < 20 and r.random() < .4:
            what = r.choice(["all", "early", "reset", "some", "close", "large"])
            fields = [("content-length", "70000")] if what == "large" and r.random() < .5 else []
            live[c.begin("POST", f"/{r.choice('1122223')}/{what}", fields, end=False)] = {"left": r.randint(1, 12)}
        for stream in r.sample(sorted(live), min(len(live), 4)):
            if feed(c, r, stream, live[stream]):
                del live[stream]
        if r.random() < .2:
            for f in c.synced():
                if f.type == RST_STREAM:
                    live.pop(f.stream, None)
    for stream in live:
        c.rst(stream)


def lost(c):
    """Octets that are missing in the connection's window for good: what a closed stream gets is given back at once, so the
    update that comes has everything else too."""
    whole = 1 << 20
    c.synced() + c.synced()
    for _ in range(100):
        c.padded(1, 15000, None)  # in few turns, for PINGs have a limit, and each in one read of the other side
        if any(f.type == http2.WINDOW_UPDATE and f.stream == 0 for f in c.synced() + c.synced()):  # PING's answer overtakes
            return whole - c.window
    raise AssertionError("no update")


@pytest.mark.parametrize("seed", range(4))
def test_window_is_whole_after_uploads(gateway, backend, server, seed):
    """R-5.2, R-7.1: whatever becomes of uploads (taken, refused, answered early, reset by either side, padded, on their way
    behind a reset), every octet of it comes back to the connection's window."""
    def one(x):
        what = x.request.target.rsplit("/", 1)[1]
        if what in ("early", "close"):
            x.respond(400, [("Connection", "close")], b"no")
        elif what == "reset":
            x.reset()
        elif what == "some":
            if not x.wire.buf:
                x.wire.fill()
            x.close()
        else:
            x.wire.body(x.request)
            x.respond(200, [], b"yes")

    def two(x):
        what = x.path.rsplit("/", 1)[1]
        if what == "early":
            x.respond(400, [], b"no")
        elif what in ("reset", "close"):
            x.reset(random.choice([CANCEL, INTERNAL_ERROR, REFUSED_STREAM, NO_ERROR]))
        elif what == "some":
            x.piece()
            x.respond(200, [], b"enough")
        else:
            x.body()
            x.respond(200, [], b"yes")
    route = '{ id = "large"; path = "/1/large"; service = "s1"; limits = { body = 60000; }; }, '
    conf = CONF.replace("routes = ( ", "routes = ( " + route).replace('timeouts = { total', "health = { passive = false; }; timeouts = { total")
    gw = gateway(conf, one=backend(one, read_body=False).url, two=server(two).url, settings="", workers=1, route="", certificates="", more="")
    r = random.Random(seed)
    with Uploader(gw.address) as c:
        assert c.ask("GET", "/3/x").status == 404
        for _ in range(2):
            uploads_at_random(c, r, 300)
            until(lambda: gw.metric("gateway_http_requests_active") == 0, what="uploads to end")
            assert lost(c) == 0
        assert c.goaway is None


def test_downloads_leak_no_window(gateway, server):
    """R-5.2: downloads that clients broke off leave the upstream connection's window whole."""
    def two(x):
        x.respond(200, [], b"x" * ((10 << 20) if x.path.endswith("whole") else 60000))
    s = server(two)
    gw = site(gateway, two=s)
    for _ in range(8):
        with http2.Client(gw.address, settings={INITIAL_WINDOW_SIZE: 1000}, credit=False) as c:
            for _ in range(20):
                stream = c.begin("GET", "/2/x")
                c.wait_type(DATA, stream)
                c.rst(stream)
    assert len(s.conns) == 1
    with http2.Client(gw.address) as c:
        assert len(c.ask("GET", "/2/whole").body) == 10 << 20
    assert len(s.conns) == 1 and not s.errors


# --- shared upstream connections ------------------------------------------------------------------
def test_shared(gateway, server):
    """R-5.4: requests of many clients share one connection, as far as the upstream lets them."""
    gate, together = threading.Event(), []

    def two(x):
        together.append(x.conn.number)
        gate.wait(20)
        x.respond(200, [], b"x")
    s = server(two, settings={MAX_CONCURRENT_STREAMS: 4})
    gw = site(gateway, two=s)
    clients = [http2.Client(gw.address) for _ in range(4)]
    streams = [c.begin("GET", "/2/x") for c in clients for _ in range(1)]
    until(lambda: len(together) == 4)
    streams2 = [c.begin("GET", "/2/x") for c in clients]
    until(lambda: len(together) == 8)
    assert max(together.count(n) for n in set(together)) <= 4
    gate.set()
    for c, one, two_ in zip(clients, streams, streams2):
        got = c.take_all([one, two_])
        assert got[one].status == got[two_].status == 200
        c.close()
    assert not s.errors


def test_upstream_goaway(gateway, server):
    """R-5.4: behind an upstream's GOAWAY what is under way ends well, and new requests have another connection."""
    gate, came = threading.Event(), threading.Event()

    def two(x):
        if x.path.endswith("slow"):
            x.head(200)
            x.write(b"abc")
            x.conn.bye(x.id)
            came.set()
            gate.wait(20)
            x.write(b"def", end=True)
        else:
            x.respond(200, [], b"%d" % x.conn.number)
    s = server(two)
    gw = site(gateway, two=s)
    with http2.Client(gw.address) as c:
        assert c.ask("GET", "/2/x").body == b"0"
        slow = c.begin("GET", "/2/slow")
        assert came.wait(10)
        c.wait_type(DATA, slow)
        assert c.ask("POST", "/2/x", body=b"x").body == b"1"
        gate.set()
        assert c.take(slow).body == b"def" and c.ask("GET", "/2/x").body == b"1"
    until(lambda: s.open == 1, what="the old connection to end")


def test_one_connection_for_many_at_once(gateway, server):
    """R-5.4: who comes while the first connection is on its way waits for it, and shares it."""
    s = server(lambda x: x.respond(200, [], b"x"))
    gw = site(gateway, two=s)
    with http2.Client(gw.address) as c:
        streams = [c.begin("GET", "/2/x") for _ in range(40)]
        assert {r.status for r in c.take_all(streams).values()} == {200}
    assert len(s.conns) == 1 and not s.errors


def test_who_waits_for_a_connection_that_fails(gateway):
    """S-EC-1: nobody waits for ever: the answer is that the endpoint cannot be reached, or is out by then."""
    gw = site(gateway)
    with http2.Client(gw.address) as c:
        streams = [c.begin("GET", "/2/x") for _ in range(20)]
        assert {r.status for r in c.take_all(streams).values()} <= {502, 503}


def test_requests_per_connection(gateway, backend):
    """R-5.4: past limits.requests_per_connection GOAWAY comes, and what was begun is answered."""
    gw = site(gateway, backend(), settings="limits = { requests_per_connection = 5; };")
    with http2.Client(gw.address) as c:
        answers = []
        for _ in range(20):
            if c.goaway or c.eof:
                break
            try:
                answers.append(c.ask("GET", "/1/x"))
            except OSError:
                break
        assert len([a for a in answers if a.status == 200]) == 5, answers
        assert c.goaway and c.goaway.code == NO_ERROR or c.closed() and c.goaway.code == NO_ERROR


def test_max_age(gateway, server):
    """R-5.4: past http2.max_age a request is the last one: GOAWAY, what is under way ends well, the connection closes."""
    gate, came = threading.Event(), threading.Event()
    gw = site(gateway, two=server(hold(gate, came)), settings='http2 = { max_age = "500ms"; };')
    began = time.monotonic()
    with http2.Client(gw.address) as c:
        slow = c.begin("GET", "/2/slow")
        c.wait_type(DATA, slow)
        while not c.goaway:
            assert c.ask("GET", "/2/x").body == b"quick"
            time.sleep(0.02)
            assert time.monotonic() < began + 10
        assert time.monotonic() >= began + 0.5
        assert c.goaway.code == NO_ERROR and c.goaway.last >= slow
        gate.set()
        assert c.take(slow).body == b"def" and c.closed()
    until(lambda: gw.metric("gateway_client_connections") == 0)


def test_max_age_at_rest(gateway, backend):
    """R-5.4: past http2.max_age a connection without requests is told so too, by notice, PING and GOAWAY, and closed. What
    was on its way when the notice came is answered."""
    gw = site(gateway, backend(), settings='http2 = { max_age = "700ms"; };')
    began = time.monotonic()
    with http2.Client(gw.address) as quiet, http2.Client(gw.address, auto=False) as late:
        late.settings(flags=http2.ACK)
        for c in (quiet, late):
            assert c.ask("GET", "/1/x").status == 200 and not c.goaway
        notice = late.wait_type(GOAWAY)
        assert time.monotonic() >= began + 0.7
        assert notice.last == (1 << 31) - 1 and notice.code == NO_ERROR
        assert late.ask("GET", "/1/x").status == 200
        assert late.closed() and late.goaway.last == 3
        assert quiet.closed()
        assert [f.last for f in quiet.seen if f.type == GOAWAY] == [(1 << 31) - 1, 1] and quiet.goaway.code == NO_ERROR
    until(lambda: gw.metric("gateway_client_connections") == 0)


def test_max_age_under_way(gateway, server):
    """R-5.4: a connection whose one request goes on for longer than http2.max_age is told meanwhile, and not cut."""
    gate, came = threading.Event(), threading.Event()
    gw = site(gateway, two=server(hold(gate, came)), settings='http2 = { max_age = "500ms"; };')
    with http2.Client(gw.address) as c:
        slow = c.begin("GET", "/2/slow")
        assert c.wait_type(GOAWAY).last == (1 << 31) - 1
        assert c.wait_type(GOAWAY).last == slow
        gate.set()
        answer = c.take(slow)
        assert answer.body.endswith(b"def") and answer.ended and c.closed()


def test_max_age_by_reload(gateway, backend):
    """R-5.4: a connection goes by the http2.max_age in force when its time has come."""
    gw = site(gateway, backend(), settings='http2 = { max_age = "3s"; };')
    began = time.monotonic()
    with http2.Client(gw.address) as c:
        assert c.ask("GET", "/1/x").status == 200
        gw.reload(CONF, settings='http2 = { max_age = "4s"; };')
        assert c.closed() and c.goaway.code == NO_ERROR
        assert time.monotonic() >= began + 4


@pytest.mark.parametrize("bye", [False, True], ids=["silent", "said-goaway"])
def test_notice_has_an_end(gateway, backend, bye):
    """R-5.4, R-7.1: a client that never answers the PING behind the notice, or said GOAWAY before it came, gets the
    requests that could have been on their way, and no more."""
    gate = threading.Event()

    def one(x):
        if x.request.target.endswith("held"):
            gate.wait(20)
        x.respond(200, body=b"x")
    gw = site(gateway, backend(one), settings="limits = { requests_per_connection = 3; }; http2 = { streams = 5; };")
    with http2.Client(gw.address, auto=bye) as c:
        if not c.auto:
            c.settings(flags=http2.ACK)
        held = c.begin("GET", "/1/held")
        if bye:
            c.bye()
        got = []
        for _ in range(30):
            stream = c.begin("GET", "/1/x")
            got.append(c.take_all([stream], until=lambda _: c.goaway and c.goaway.last < 100)[stream])
            if not got[-1].ended:
                break
        assert 1 <= len([a for a in got if a.status == 200]) <= 10
        notice = [f.last for f in c.seen if f.type == GOAWAY]
        assert (bye or notice[0] == (1 << 31) - 1) and notice[-1] < 100, notice
        gate.set()
        assert c.take(held).body == b"x" and c.closed()


def whole(c):
    """What is left on the connection are whole frames up to GOAWAY: the code."""
    while c.read():
        pass
    assert not c.buf and c.goaway, c.seen[-3:]
    return c.goaway.code


def stalled(gw, s):
    """A client whose socket is full of what it does not read, and which wants no more of it: a connection at rest."""
    c = http2.Client(gw.address, settings={INITIAL_WINDOW_SIZE: (1 << 31) - 1}, credit=False, rcvbuf=4096)
    c.update(0, (1 << 31) - 1 - 65535)
    stream = c.begin("GET", "/2/x")
    c.wait_type(DATA, stream)
    seen = [None, None]

    def still():
        seen[:] = seen[1], s.requests[0].conn.window
        return seen[0] == seen[1]
    until(still, 20, "a full socket", step=0.3)
    c.rst(stream)
    until(lambda: gw.metric("gateway_http_requests_active") == 0)
    return c


def test_drain_lets_the_last_octets_out(gateway, server):
    """R-5.4: a connection without requests whose client has not read everything yet is not closed before that."""
    s = server(lambda x: x.respond(200, [], b"x" * (64 << 20)))
    gw = site(gateway, two=s)
    with stalled(gw, s) as c:
        gw.kill(signal.SIGQUIT)
        until(lambda: not listening(gw.address), what="the drain to begin")
        time.sleep(0.1)
        assert whole(c) == NO_ERROR
    until(lambda: gw.exit_status() is not None, 15)
    assert gw.stop() == 0


def test_half_closed_client_reads_to_the_end(gateway, server):
    """R-5.4: who has said all it will, and reads slowly, gets whole frames to the end."""
    s = server(lambda x: x.respond(200, [], b"x" * (64 << 20)))
    gw = site(gateway, two=s)
    with stalled(gw, s) as c:
        c.sock.shutdown(socket.SHUT_WR)
        time.sleep(0.2)
        assert whole(c) == NO_ERROR
    until(lambda: gw.metric("gateway_client_connections") == 0)


def listening(address):
    with socket.socket() as s:
        return s.connect_ex(address) == 0


def test_greetings_do_not_wait_for_another(gateway):
    """R-5.4: a connection that begins with its client's address is nobody else's: none waits for another to stand."""
    heads = []
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(16)
        s.settimeout(5)
        conf = CONF.replace('protocol = "http2"; timeouts', 'protocol = "http2"; proxy_protocol = "v1"; tls = { verify = false; }; timeouts')
        gw = gateway(conf, one="http://127.0.0.1:1", two=f"https://127.0.0.1:{s.getsockname()[1]}", settings="", workers=1, route="",
                     certificates="", more="")
        clients = [http2.Client(gw.address) for _ in range(3)]
        for c in clients:
            c.begin("GET", "/2/x")
        socks = [s.accept()[0] for _ in clients]  # their handshakes get no answer
        for sock, c in zip(socks, clients):
            sock.settimeout(5)
            heads.append(sock.recv(100).split(b"\r\n")[0].decode())
            sock.close()
        assert sorted(heads) == sorted(f"PROXY TCP4 127.0.0.1 127.0.0.1 {c.sock.getsockname()[1]} {gw.address[1]}" for c in clients)
        for c in clients:
            c.close()


# --- reload and drain -----------------------------------------------------------------------------
def hold(gate, came):
    def two(x):
        if x.path.endswith("slow"):
            x.head(200)
            x.write(b"abc")
            came.set()
            gate.wait(30)
            x.write(b"def", end=True)
        else:
            x.respond(200, [], b"quick")
    return two


def test_reload(gateway, server):
    """R-5.4, R-4.3: a reload closes no connection and no stream."""
    gate, came = threading.Event(), threading.Event()
    gw = site(gateway, two=server(hold(gate, came)))
    with http2.Client(gw.address) as c:
        slow = c.begin("GET", "/2/slow")
        c.wait_type(DATA, slow)
        for i in range(3):
            gw.reload(CONF + f"# {i}\n")
            assert c.ask("GET", "/2/x").body == b"quick"
        gate.set()
        assert c.take(slow).body == b"def" and c.goaway is None


def test_drain(gateway, server):
    """R-5.4: the end of the gateway is GOAWAY, what is under way is answered, then the connection closes; one that comes
    behind GOAWAY is refused, or not looked at."""
    gate, came = threading.Event(), threading.Event()
    s = server(hold(gate, came))
    gw = site(gateway, two=s)
    with http2.Client(gw.address) as idle, http2.Client(gw.address) as c:
        idle.synced()
        slow = c.begin("GET", "/2/slow")
        c.wait_type(DATA, slow)
        gw.kill(signal.SIGQUIT)
        f = c.wait_type(GOAWAY)
        assert f.code == NO_ERROR and f.last >= slow
        assert idle.wait_goaway() == NO_ERROR and idle.eof
        late = c.begin("GET", "/2/late")
        gate.set()
        got = c.take_all([slow, late])
        assert got[slow].body == b"def" and got[slow].ended
        assert got[late].status in (None, 200) and got[late].reset in (None, REFUSED_STREAM)
        assert c.closed()
    until(lambda: gw.exit_status() is not None, 15)
    assert gw.stop() == 0


def test_drain_deadline(gateway, server):
    """R-5.4: at the deadline what is left is reset, and the gateway leaves."""
    gate, came = threading.Event(), threading.Event()
    gw = site(gateway, two=server(hold(gate, came)))
    gw.reload(CONF + 'shutdown = { min_drain = "100ms"; deadline = "1s"; };')
    with http2.Client(gw.address) as c:
        slow = c.begin("GET", "/2/slow")
        c.wait_type(DATA, slow)
        gw.kill(signal.SIGQUIT)
        a = c.take(slow)
        assert not a.ended
    until(lambda: gw.exit_status() is not None, 15)
    gate.set()


def test_idle_timeout(gateway, backend):
    """R-5.4: an idle connection is closed in its time, with GOAWAY."""
    gw = site(gateway, backend(), settings='timeouts = { idle = "300ms"; };')
    with http2.Client(gw.address) as c:
        assert c.ask("GET", "/1/x").status == 200
        assert c.wait_goaway() == NO_ERROR and c.eof
    with http2.Client(gw.address) as c:
        assert c.wait_goaway() == NO_ERROR and c.eof


def test_slow_heads(gateway, backend):
    """R-7.1: a head that does not come to its end is ended in timeouts.header."""
    gw = site(gateway, backend(), settings='timeouts = { header = "400ms"; body = "400ms"; };')
    with http2.Client(gw.address) as c:
        c.synced()
        c.frame(http2.HEADERS, http2.END_STREAM, 1, block(request("GET", "/1/x"))[:20])
        a = c.take(1)
        assert a.status == 408 or a.reset is not None or c.eof, a
    with http2.Client(gw.address) as c:
        stream = c.begin("POST", "/1/x", [("content-length", "10")], end=False)
        a = c.take(stream)
        assert a.status == 408 or a.reset is not None
        assert c.ask("GET", "/1/x").status == 200
    until(lambda: gw.metric("gateway_client_connections") == 0)


# --- all of it at random --------------------------------------------------------------------------
def anything(x):
    """An upstream that does whatever the path says, and now and then leaves."""
    what, n = x.path.split("/")[-2:]
    n = int(n)
    if what == "echo":
        body = x.body()
        x.respond(200, [], body, trailers=[("x-n", str(n))] if n % 2 else None)
    elif what == "early":
        x.respond(200, [], b"e" * n)
    elif what == "reset":
        x.reset(random.choice([CANCEL, INTERNAL_ERROR, REFUSED_STREAM]))
    elif what == "within":
        x.head(200)
        x.write(b"w" * min(n, 3000))
        x.reset(INTERNAL_ERROR)
    elif what == "bye":
        x.conn.bye(x.id)
        x.respond(200, [], b"b" * n)
    elif what == "cut":
        x.head(200, [("content-length", str(n + 1))])
        x.conn.sock.shutdown(socket.SHUT_RDWR)


def at_random(gw, seed, seconds, failures):
    """A client that begins, feeds, resets and reads streams as it comes, and leaves in three ways."""
    r = random.Random(seed)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with http2.Client(gw.address) as c:
                open, bodies = {}, {}
                for _ in range(r.randint(1, 60)):
                    what, n = r.choice(["echo"] * 6 + ["early", "early", "reset", "within", "bye", "cut"]), r.choice([0, 1, 999, 20000])
                    stream = c.begin(r.choice(["POST", "PUT"]), f"/2/{what}/{n}", end=n == 0)
                    open[stream] = http2.Answer()
                    if n and r.random() < .9 and min(c.window, c.windows[stream]) >= n > 0:
                        body = r.randbytes(n)
                        for i in range(0, n, 7000):
                            c.data(stream, body[i:i + 7000], end=i + 7000 >= n)
                        if what == "echo":
                            bodies[stream] = body
                    elif n:
                        c.rst(stream)
                        del open[stream]
                    if open and r.random() < .1:
                        gone = r.choice(list(open))
                        c.rst(gone)
                        del open[gone]
                        bodies.pop(gone, None)
                    if r.random() < .2 and open:
                        c.take_all(list(open), open, until=lambda _: True)
                if r.random() < .2:
                    c.reset()
                    continue
                if r.random() < .2:
                    continue
                for stream, a in c.take_all(list(open), open).items():
                    whole = a.ended and a.reset in (None, NO_ERROR)
                    if not whole and a.reset is None and not (c.eof or c.goaway):
                        failures.append(f"stream {stream} is stuck: {a}")
                    if whole and a.status == 200 and stream in bodies and a.body != bodies[stream]:
                        failures.append(f"stream {stream} has another's octets")
                    if whole and a.status not in (200, 502, 503):
                        failures.append(f"stream {stream} answers {a}")
        except OSError:
            pass
        except Exception as e:  # pylint: disable=broad-except
            failures.append(repr(e))


def test_random(gateway, server):
    """R-5.1, R-5.4, R-7.1: clients and an upstream that reset, leave, say GOAWAY and answer early at random: what is
    answered is right, nothing is stuck, and everything is given back."""
    s = server(anything)
    gw = site(gateway, two=s, workers=2)
    gw.reload(CONF.replace('protocol = "http2";', 'protocol = "http2"; health = { passive = false; };'))
    pids, failures = gw.children("worker"), []
    threads = [threading.Thread(target=at_random, args=(gw, seed, 3, failures)) for seed in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60 * SLOW)
        assert not t.is_alive()
    assert not failures, failures[:5]
    until(lambda: gw.metric("gateway_client_connections") == 0, what="connections to be counted off")
    until(lambda: gw.metric("gateway_http_requests_active") == 0, what="requests to be counted off")
    until(lambda: gw.metric("gateway_upstream_connections_active") == 0, what="upstream connections to be given back")
    assert http2.ask(gw.address, "GET", "/2/early/5").body == b"eeeee"
    assert gw.children("worker") == pids and len(s.requests) > 100
