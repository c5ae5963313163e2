# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 connections and the gateway's own life: reloads, drain, workers that are lost. R-7.1 R-8.1 R-5.1 C-4"""
import os
import signal
import threading

import grpc
import pytest

import http2
from gateway import SLOW, until
from grpc_echo import EchoServer, Request, call, echo, failed, framed, messages, status
from tls import worker_of
from torture_h2 import Talk
from torture_reload import torture_http2

SITE = """
    workers = @workers@;
    services = ( { id = "s"; protocol = "http2"; url = "@url@"; },
                 { id = "held"; protocol = "http2"; url = "@held@"; } );
    routes = ( { id = "echo"; path = "/echo.Echo/*"; service = "s"; }, { id = "held"; path = "/*"; service = "held"; } );
    shutdown = { min_drain = "@min@"; deadline = "@deadline@"; };
"""


class Held:
    """Answers begin at once and end when they are let go."""

    def __init__(self):
        self.go = threading.Event()

    def __call__(self, x):
        x.head(200)
        x.write(b"first ")
        self.go.wait(30 * SLOW)
        x.write(b"last", end=True)


@pytest.fixture
def site(gateway):
    """(gateway, EchoServer, Held)."""
    server, held = EchoServer(), Held()
    with server, http2.Server(held) as origin:
        yield lambda workers=1, min="0", deadline="30s": (
            gateway(SITE, url=server.url, held=origin.url, workers=workers, min=min, deadline=deadline), server, held)
        held.go.set()


def begun(c, path="/"):
    """A download of which the first part is here: (stream, Answer)."""
    stream = c.begin("GET", path)
    return stream, c.take_all([stream], until=lambda got: got[stream].body == b"first ")[stream]


def gone(gw):
    until(lambda: gw.exit_status() is not None, 15, "the end of the drain")
    assert gw.exit_status() == 0


@pytest.mark.xdist_group("alone")
def test_torture():
    """A short turn of make torture-reload TORTURE_ARGS=--h2: 50 bidirectional calls and 200 downloads."""
    few = SLOW > 1
    figures = torture_http2(8 if few else 30, **({"streams": 20, "downloads": 40} if few else {}))
    print(figures)
    assert figures["requests"] > 50 and figures["octets"] > 1 << 20


def test_drain_lets_requests_finish(site):
    """QUIT: GOAWAY without an error on every connection; what is under way ends in peace, nothing new is begun."""
    gw, _, held = site()
    with http2.Client(gw.address) as busy, http2.Client(gw.address) as idle:
        stream, answer = begun(busy)
        call_stream = call(busy, "Bidi", Request(payload=b"1"), end=False)
        reply = busy.take_all([call_stream], until=lambda got: b"1" in got[call_stream].body)[call_stream]
        assert idle.ask("OPTIONS", "*").status is not None
        gw.kill(signal.SIGQUIT)
        assert idle.wait_goaway() == http2.NO_ERROR
        busy.wait(lambda f: f.type == http2.GOAWAY)
        assert busy.goaway.code == http2.NO_ERROR and busy.goaway.last >= call_stream
        late = busy.begin("GET", "/late")
        busy.upload(call_stream, framed(Request(payload=b"2")))
        held.go.set()
        got = busy.take_all([stream, call_stream], {stream: answer, call_stream: reply})
        assert got[stream].body == b"first last" and got[stream].ended
        assert [m.payload for m in messages(got[call_stream])] == [b"1", b"2"] and status(got[call_stream])[0] == 0
        seen = [f for f in busy.seen if f.stream == late]
        assert not seen or (seen[0].type, seen[0].code) == (http2.RST_STREAM, http2.REFUSED_STREAM)
        assert busy.closed()
    gone(gw)


def test_drain_of_grpcio(site):
    """QUIT: streams of grpcio go on over GOAWAY until they end by themselves; new calls find nobody."""
    gw, _, _ = site(min="100ms")
    with echo(gw.address) as stub:
        talks = [Talk(stub, i) for i in range(10)]
        for turn in range(2):
            for t in talks:
                t.say(turn)
                t.hear(turn)
        gw.kill(signal.SIGQUIT)
        gw.wait_log("draining")
        until(lambda: failed(stub.Unary, Request(), timeout=5).code() == grpc.StatusCode.UNAVAILABLE
              if not listening(gw) else False, 10, "the listener to be closed")
        for turn in range(2, 20):
            for t in talks:
                t.say(turn)
                t.hear(turn)
        for t in talks:
            t.queue.put(None)
        for t in talks:
            assert t.stream.code() == grpc.StatusCode.OK
    gone(gw)


def listening(gw):
    try:
        http2.connect(gw.address).close()
        return True
    except ConnectionError:
        return False


def test_drain_deadline(site):
    """A stream that never ends is cut off at the deadline, and nothing hangs."""
    gw, server, _ = site(deadline="1s")
    with http2.Client(gw.address) as c:
        call(c, "Bidi", Request(payload=b"1"), end=False)
        seen = server.wait_calls(1)[0]
        gw.kill(signal.SIGQUIT)
        assert c.closed()
        assert c.goaway is not None
        seen.wait_over()
    gone(gw)


def test_drain_in_the_middle_of_a_head(site):
    """HEADERS without END_HEADERS, or a preface that is not whole, does not hold the drain up."""
    gw, _, _ = site(deadline="2s")
    with http2.Client(gw.address) as c, http2.Client(gw.address, hello=False) as d:
        c.frame(http2.HEADERS, 0, 1, http2.block(http2.request()))
        d.send(http2.PREFACE[:10])
        until(lambda: gw.metric("gateway_client_connections") == 2, 5, "both connections")
        gw.kill(signal.SIGQUIT)
        assert c.closed() and d.closed()
    gone(gw)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=lambda s: s.name)
def test_worker_is_lost(site, number):
    """kill -9: its own requests are lost, those of other workers go on; clients come back and are served."""
    gw, server, _ = site(workers=2)
    gw.allow_crash = "was killed by signal|Sanitizer"
    clients = []
    pids = set(gw.children("worker"))
    while {worker_of(gw, c) for c in clients} != pids:
        clients.append(http2.Client(gw.address))
        clients[-1].synced()
    streams = {}
    for c in clients:
        streams[c] = call(c, "Bidi", Request(payload=b"1"), end=False)
        c.take_all([streams[c]], until=lambda got, c=c: b"1" in got[streams[c]].body)
    seen = {worker_of(gw, c): [] for c in clients}
    for c in clients:
        seen[worker_of(gw, c)].append(c)
    victim = worker_of(gw, clients[0])
    os.kill(victim, number)
    for c in seen[victim]:
        assert c.closed()
    for pid, others in seen.items():
        for c in others if pid != victim else ():
            c.upload(streams[c], framed(Request(payload=b"2")))
            answer = c.take(streams[c])
            assert [m.payload for m in messages(answer)] == [b"2"] and status(answer)[0] == 0
    for one in server.wait_calls(len(clients)):
        one.wait_over()
    until(lambda: len(gw.children("worker")) == 2 and victim not in gw.children("worker"), 10, "a successor")
    for c in seen[victim]:
        with http2.Client(gw.address) as again:
            assert messages(again.take(call(again, "Unary", Request(payload=b"3"))))[0].payload == b"3"
    for c in clients:
        c.close()
    until(lambda: gw.metric("gateway_endpoint_in_flight") == 0, 10, "in-flight counts of zero")


def test_grpcio_comes_back(site):
    """The only worker is killed again and again: a client of grpcio reconnects by itself."""
    gw, _, _ = site()
    options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 50),
               ("grpc.max_reconnect_backoff_ms", 100)]
    gw.allow_crash = "was killed by signal"
    with echo(gw.address, options=options) as stub:
        for i in range(3):
            assert stub.Unary(Request(payload=b"%d" % i), wait_for_ready=True, timeout=20 * SLOW).payload == b"%d" % i
            held = stub.Unary.future(Request(hang=True))
            until(lambda: gw.metric("gateway_endpoint_in_flight") == 1, 10, "the call")
            os.kill(gw.child("worker"), signal.SIGKILL)
            assert failed(held.result).code() == grpc.StatusCode.UNAVAILABLE
        assert stub.Unary(Request(payload=b"on"), wait_for_ready=True, timeout=20 * SLOW).payload == b"on"


def test_endpoint_changes_under_open_streams(site, gateway):
    """A reload that takes an endpoint away: its streams go on, new calls go to the new one."""
    with EchoServer(name="new") as new:
        gw, old, _ = site()
        with echo(gw.address) as stub:
            talks = [Talk(stub, i) for i in range(10)]
            for t in talks:
                t.say(0)
                t.hear(0)
            gw.reload(gw.conf_file.read_text().replace(old.url, new.url))
            assert stub.Unary(Request()).server == "new"
            for turn in range(1, 5):
                for t in talks:
                    t.say(turn)
                    t.hear(turn)
            for t in talks:
                t.queue.put(None)
            assert {t.stream.code() for t in talks} == {grpc.StatusCode.OK}
            assert len(old.calls) == 10


def test_settings_of_http2_change(site):
    """A reload changes streams, windows and limits: connections live on, new ones have the new settings."""
    gw, _, held = site()
    with http2.Client(gw.address) as c:
        stream, answer = begun(c)
        text = gw.conf_file.read_text().replace(f'address = "127.0.0.1:{gw.port}";', f'''address = "127.0.0.1:{gw.port}";
            http2 = {{ streams = 7; window = "128k"; }};''')
        assert "streams" in text
        gw.reload(text)
        with http2.Client(gw.address) as d:
            d.synced()
            assert d.peer[http2.MAX_CONCURRENT_STREAMS] == 7 and d.peer[http2.INITIAL_WINDOW_SIZE] == 131072
        held.go.set()
        assert c.take(stream, answer).body == b"first last" and c.goaway is None


def test_http2_is_switched_off(site):
    """A reload that ends HTTP/2 on a listener: what is open goes on to its end, new connections do not speak it."""
    gw, _, held = site()
    with http2.Client(gw.address) as c:
        stream, answer = begun(c)
        gw.reload(gw.conf_file.read_text().replace(f'address = "127.0.0.1:{gw.port}";', f'''address = "127.0.0.1:{gw.port}";
            http2 = {{ enabled = false; }};'''))
        with http2.Client(gw.address) as d:
            assert d.sock.recv(100).startswith(b"HTTP/1.1 505")
        held.go.set()
        assert c.take(stream, answer).body == b"first last"
