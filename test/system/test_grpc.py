# SPDX-License-Identifier: Apache-2.0
"""gRPC through the gateway: grpcio on both sides, and calls made octet by octet. R-5.1 R-5.2 R-5.3 R-5.4 R-4.3"""
import hashlib
import os
import queue
import random
import time

import grpc
import pytest

import http2
from backend import server_tls
from gateway import SLOW, until
from grpc_echo import HEALTH, EchoServer, Request, Reply, call, channel, echo, echo_pb2_grpc, failed, framed, messages, status, \
    trailers_only
from ports import free_port
from tls import NAME, certificate

Code = grpc.StatusCode
SITE = """
    workers = @workers@;
    services = ( { id = "s"; protocol = "http2"; @where@; @service@ } );
    routes = ( { id = "echo"; path = "/echo.Echo/*"; service = "s"; @route@ },
               { id = "health"; path = "/grpc.health.v1.Health/*"; service = "s"; } );
    listeners = ( { id = "main"; address = "127.0.0.1:@port@"; @listener@ } );
    @more@
"""


@pytest.fixture
def server():
    """A factory of EchoServers."""
    made = []

    def make(**kw):
        made.append(EchoServer(**kw))
        return made[-1]

    yield make
    for s in made:
        s.close()


@pytest.fixture
def site(gateway):
    """A gateway in front of these. service, route, listener, more: settings."""
    def make(*servers, workers=1, **words):
        urls = [s if isinstance(s, str) else s.url for s in servers]
        where = f'url = "{urls[0]}"' if len(urls) == 1 else \
            "endpoints = ( %s )" % ", ".join(f'{{ url = "{u}"; }}' for u in urls)
        words = {"service": "", "route": "", "listener": "", "more": "", **words}
        text = SITE.replace("@more@", words["more"])
        return gateway(text, workers=workers, where=where, **words)
    return make


@pytest.fixture
def pair(site, server):
    """(gateway, server) with these settings."""
    def make(**words):
        s = server()
        return site(s, **words), s
    return make


class Talk:
    """The requests of a stream, said one by one; close() ends them."""

    def __init__(self):
        self.queue = queue.Queue()

    def say(self, request):
        self.queue.put(request)

    def close(self):
        self.queue.put(None)

    def __iter__(self):
        return self

    def __next__(self):
        request = self.queue.get()
        if request is None:
            raise StopIteration
        return request


def last_line(gw, count=1, **kw):
    return gw.access_log(count, where=lambda line: "/echo.Echo/" in line.get("path", line.get("target", "")), **kw)[-1]


def calls(gw, code):
    return gw.metric("gateway_service_grpc_calls_total", service="s", code=code)


def quiet(gw):
    """Nothing is under way any more, at either side."""
    until(lambda: gw.metric("gateway_endpoint_in_flight") == 0, 10, "in-flight counts of zero")


# --- calls ----------------------------------------------------------------------------------------
def test_unary(pair):
    """R-5.1: one request, one reply; what the service sees of it."""
    gw, s = pair()
    with echo(gw.address) as stub:
        reply, done = stub.Unary.with_call(Request(payload=b"hello"))
    assert reply.payload == b"hello" and reply.server == "echo" and not reply.has_deadline
    assert done.code() == Code.OK
    assert s.calls[0].get("x-forwarded-for") == "127.0.0.1" and not s.calls[0].wait_over().cancelled


def test_server_stream(pair):
    """R-5.1: many replies, in their order."""
    gw, _ = pair()
    with echo(gw.address) as stub:
        got = list(stub.ServerStream(Request(payload=b"p", count=300)))
    assert [m.number for m in got] == list(range(300))


def test_client_stream(pair):
    """R-5.1: many requests, one reply."""
    gw, _ = pair()
    parts = [os.urandom(random.randrange(20000)) for _ in range(100)]
    with echo(gw.address) as stub:
        reply = stub.ClientStream(Request(payload=p) for p in parts)
    assert reply.number == 100 and reply.digest == hashlib.sha256(b"".join(parts)).hexdigest()


def test_bidi_stream(pair):
    """R-5.1: both at once: more than either side's windows hold."""
    gw, _ = pair()
    parts = [os.urandom(30000) for _ in range(200)]
    with echo(gw.address) as stub:
        got = [m.payload for m in stub.Bidi(Request(payload=p) for p in parts)]
    assert got == parts


def test_empty_messages_and_streams(pair):
    """R-5.1: no payload, no replies, no requests."""
    gw, _ = pair()
    with echo(gw.address) as stub:
        assert stub.Unary(Request()).payload == b""
        assert not list(stub.ServerStream(Request(count=0)))
        assert stub.ClientStream(iter(())).number == 0
        assert not list(stub.Bidi(iter(())))


@pytest.mark.parametrize("size", [1 << 20, 3 << 20])
def test_large_messages(pair, size):
    """R-5.1: 1 MB and 3 MB, both ways."""
    gw, _ = pair()
    data = os.urandom(size)
    with echo(gw.address) as stub:
        assert stub.Unary(Request(payload=data)).payload == data
        assert [m.payload for m in stub.Bidi(iter([Request(payload=data)] * 3))] == [data] * 3
        assert stub.ClientStream(iter([Request(payload=data)] * 3)).total == 3 * size
        assert sum(len(m.payload) for m in stub.ServerStream(Request(size=size, count=3))) == 3 * size


def test_many_calls_at_once(pair):
    """R-5.1: 100 on one connection, each with its own reply; the upstream's connections are shared."""
    gw, s = pair()
    with echo(gw.address) as stub:
        running = [stub.Unary.future(Request(payload=b"%d" % i, delay_ms=300)) for i in range(100)]
        assert [f.result(30).payload for f in running] == [b"%d" % i for i in range(100)]
    assert len(s.calls) == 100
    quiet(gw)


def test_messages_arrive_when_sent(pair):
    """R-5.1: nothing waits for anything: each message is answered before the next one is sent; a request whose
    head alone was sent reaches the service."""
    gw, s = pair()
    with echo(gw.address) as stub:
        talks = [Talk() for _ in range(20)]
        replies = [stub.Bidi(t) for t in talks]
        s.wait_calls(20)
        for turn in range(10):
            for i in random.sample(range(20), 20):
                talks[i].say(Request(payload=b"%d.%d" % (i, turn)))
                assert next(replies[i]).payload == b"%d.%d" % (i, turn)
        for t in talks:
            t.close()
        for r in replies:
            assert r.code() == Code.OK


def test_head_of_reply_before_first_message(pair):
    """R-5.1: initial metadata passes at once."""
    gw, _ = pair()
    with echo(gw.address) as stub:
        talk = Talk()
        stream = stub.Bidi(talk, metadata=[("i-early", "1")], timeout=20)
        assert ("i-early", "1") in [(m.key, m.value) for m in stream.initial_metadata()]
        talk.close()
        assert not list(stream)


def test_quiet_streams_live(pair):
    """R-5.1: a stream on which nobody says anything outlasts the listener's timeouts.body and keepalive."""
    gw, s = pair(listener='timeouts = { body = "500ms"; idle = "500ms"; write = "500ms"; };')
    with echo(gw.address) as stub:
        talk, silent = Talk(), Talk()
        stream = stub.Bidi(talk)
        other = stub.ClientStream.future(silent)
        talk.say(Request(payload=b"1"))
        assert next(stream).payload == b"1"
        s.wait_calls(2)
        time.sleep(2)
        talk.say(Request(payload=b"2"))
        assert next(stream).payload == b"2"
        talk.close()
        silent.close()
        assert not list(stream) and other.result(10).number == 0


def test_balanced_per_call(site, server):
    """R-4.3: calls of one client's connection go to every endpoint, in turn."""
    a, b, c = server(name="a"), server(name="b"), server(name="c")
    gw = site(a, b, c)
    with echo(gw.address) as stub:
        names = [stub.Unary(Request()).server for _ in range(30)]
    assert {n: names.count(n) for n in "abc"} == {"a": 10, "b": 10, "c": 10}


# --- metadata -------------------------------------------------------------------------------------
def test_metadata_both_ways(pair):
    """R-5.1: text and binary, repeated, in both directions, initial and trailing."""
    gw, s = pair()
    binary = bytes(range(256))
    sent = [("i-a", "one"), ("i-a", "two"), ("i-b-bin", binary), ("t-c", "last words"), ("t-d-bin", binary), ("other", "~ !")]
    with echo(gw.address) as stub:
        for method in ("Unary", "ServerStream"):
            out = getattr(stub, method)
            if method == "Unary":
                reply, done = out.with_call(Request(), metadata=sent)
            else:
                done = out(Request(count=1), metadata=sent)
                reply = next(done)
            got = [(f.name, f.value) for f in reply.metadata]
            for k, v in sent:
                assert (k, v if isinstance(v, bytes) else v.encode()) in got
            first = [tuple(m) for m in done.initial_metadata()]
            assert [m for m in first if m[0].startswith("i-")] == sent[:3]
            assert [tuple(m) for m in done.trailing_metadata() if m.key.startswith("t-")] == sent[3:5]


def test_te_trailers_reaches_the_service(site):
    """R-5.1: servers refuse calls without TE: trailers."""
    with http2.Server(lambda x: x.respond(200, [("content-type", "application/grpc"), ("seen-te", x.get("te", "none"))],
                                          trailers=[("grpc-status", "0")])) as b:
        gw = site(b.url)
        with http2.Client(gw.address) as c:
            answer = c.take(call(c, "Unary", Request()))
    assert answer.get("seen-te") == "trailers" and status(answer) == (0, None)
    assert b.requests[0].get("content-type") == "application/grpc+proto"


def test_compressed_messages(pair):
    """R-5.1: grpc-encoding is between the two ends."""
    gw, _ = pair()
    with channel(gw.address, options=[("grpc.default_compression_algorithm", 2)]) as ch:
        data = b"again and again " * 10000
        assert echo_pb2_grpc.EchoStub(ch).Unary(Request(payload=data), compression=grpc.Compression.Gzip).payload == data


# --- deadlines ------------------------------------------------------------------------------------
def test_deadline_of_the_client_is_kept_by_the_gateway(pair):
    """R-5.2: the service hangs; at the client's deadline the gateway answers with trailers only, and the call is
    cancelled at the service."""
    gw, s = pair()
    with http2.Client(gw.address) as c:
        began = time.monotonic()
        answer = c.take(call(c, "Unary", Request(hang=True), timeout="300m"))
        took = time.monotonic() - began
    assert trailers_only(answer) and status(answer)[0] == 4
    assert 0.28 <= took < 3 * SLOW
    assert s.calls[0].wait_over().cancelled
    line = last_line(gw)
    assert line["grpc_status"] == "DEADLINE_EXCEEDED" and line["status"] == 200
    assert calls(gw, "DEADLINE_EXCEEDED") == 1


def test_deadline_in_grpcio(pair):
    """R-5.2: as a client of grpcio sees it."""
    gw, _ = pair()
    with echo(gw.address) as stub:
        assert failed(stub.Unary, Request(hang=True), timeout=0.3).code() == Code.DEADLINE_EXCEEDED
        assert failed(stub.ServerStream, Request(hang=True, count=1), timeout=0.3).code() == Code.DEADLINE_EXCEEDED
        assert stub.Unary(Request(payload=b"on")).payload == b"on"


@pytest.mark.parametrize("timeout, least, most", [("1H", 3590, 3600), ("2M", 110, 120), ("7S", 5, 7), ("90000m", 85, 90),
                                                  ("9000000u", 7, 9), ("99999999n", 0, 0.1), ("99999999H", 3e8, 4e11)])
def test_deadline_is_passed_on(pair, timeout, least, most):
    """R-5.2: in every unit, what is left of it."""
    gw, s = pair()
    with http2.Client(gw.address) as c:
        c.take(call(c, "Unary", Request(), timeout=timeout))
    remaining = s.wait_calls(1)[0].remaining
    if most > 1e6:  # longer than Python's clock can tell
        assert remaining is None or remaining > 1e6
    else:
        assert least <= remaining <= most + 0.01


@pytest.mark.parametrize("where", ["service", "route"])
def test_deadline_is_shortened(pair, where):
    """R-5.2: timeouts.total of service or route: the service is told, and the gateway keeps it."""
    gw, s = pair(**{where: 'timeouts = { connect = "100ms"; first_byte = "300ms"; idle = "300ms"; total = "400ms"; };'
                    if where == "service" else 'timeouts = { total = "400ms"; };'},
                 **({"service": 'timeouts = { connect = "100ms"; first_byte = "60s"; };'} if where == "route" else {}))
    with http2.Client(gw.address) as c:
        c.take(call(c, "Unary", Request(), timeout="50S"))
        answer = c.take(call(c, "Unary", Request(hang=True)))
        c.take(call(c, "Unary", Request(), timeout="100m"))
    assert trailers_only(answer) and status(answer)[0] == 4
    a, b, short = (one.remaining for one in s.calls)
    assert a <= 0.41 and b <= 0.41 and short <= 0.11


def test_deadline_in_the_middle_of_a_stream(pair):
    """R-5.2: when replies have begun already, the status is in trailers behind them; the service's call is cancelled."""
    gw, s = pair()
    with http2.Client(gw.address) as c:
        stream = call(c, "Bidi", Request(payload=b"x"), timeout="500m", end=False)
        answer = c.take(stream)
    assert [m.payload for m in messages(answer)] == [b"x"]
    assert status(answer)[0] == 4 and (answer.reset or 0) == 0
    s.calls[0].wait_over()
    assert last_line(gw)["grpc_status"] == "DEADLINE_EXCEEDED" and calls(gw, "DEADLINE_EXCEEDED") == 1
    quiet(gw)


@pytest.mark.parametrize("settings, code", [({"service": 'timeouts = { total = "500ms"; connect = "100ms"; first_byte = "400ms"; '
                                                         'idle = "400ms"; };'}, 4),
                                            ({"service": 'timeouts = { idle = "500ms"; };'}, 4),
                                            ({"listener": "limits = { body = 3000; };"}, 8)])
def test_limits_in_the_middle_of_a_stream(pair, settings, code):
    """R-5.2 R-5.3: the gateway's own limits end a call that has begun to be answered: status in trailers, not a reset."""
    gw, s = pair(**settings)
    with http2.Client(gw.address) as c:
        stream = call(c, "Bidi", Request(payload=b"x"), end=False)
        c.take_all([stream], until=lambda got: b"x" in got[stream].body)
        answer = http2.Answer()
        answer.fields = [(":status", "200")]
        if code == 8:
            c.upload(stream, framed(Request(payload=bytes(5000))), end=False)
        c.take(stream, answer)
        assert status(answer)[0] == code and status(answer)[1], answer
        assert status(c.take(call(c, "Unary", Request())))[0] == 0
    s.calls[0].wait_over()
    quiet(gw)


def test_deadline_behind_full_windows(pair):
    """R-5.2: a client that takes nothing is not waited for."""
    gw, s = pair()
    with http2.Client(gw.address, credit=False) as c:
        stream = call(c, "ServerStream", Request(size=10000, count=1 << 30), timeout="700m")
        answer = c.take(stream)
        assert answer.reset is not None or status(answer)[0] == 4
    assert s.calls[0].wait_over().cancelled
    quiet(gw)


@pytest.mark.parametrize("timeout", ["", "5", "S", "-1S", "1.5S", "123456789S", "1s", "1 S", "1SS", "0x1S"])
def test_malformed_deadline(pair, timeout):
    """R-5.2: refused, by name, and the service is not asked."""
    gw, s = pair()
    with http2.Client(gw.address) as c:
        answer = c.take(call(c, "Unary", Request(), fields=[("grpc-timeout", timeout)]))
        assert trailers_only(answer) and status(answer)[0] == 13, answer
        assert "grpc-timeout" in status(answer)[1] or timeout == ""
        assert status(c.take(call(c, "Unary", Request())))[0] == 0
    assert len(s.calls) == 1


def test_deadline_with_many_calls(pair):
    """R-5.2: each has its own; the connection and the calls beside them go on."""
    gw, _ = pair()
    with echo(gw.address) as stub:
        ends = [stub.Unary.future(Request(hang=True), timeout=0.2 + 0.01 * i) for i in range(30)]
        stays = [stub.Unary.future(Request(payload=b"%d" % i, delay_ms=1000)) for i in range(30)]
        assert {f.code() for f in ends} == {Code.DEADLINE_EXCEEDED}
        assert [f.result().payload for f in stays] == [b"%d" % i for i in range(30)]
    quiet(gw)


# --- cancellation ---------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["Unary", "ServerStream", "ClientStream", "Bidi"])
def test_cancel(pair, method):
    """R-5.1: the client gives up: the service's context is cancelled at once, in every type of call."""
    gw, s = pair()
    with echo(gw.address) as stub:
        talk = Talk()
        if method == "Unary":
            running = stub.Unary.future(Request(hang=True))
        elif method == "ServerStream":
            running = stub.ServerStream(Request(payload=b"x", count=10000, delay_ms=20))
            next(running)
        elif method == "ClientStream":
            running = stub.ClientStream.future(talk)
            talk.say(Request(payload=b"x"))
        else:
            running = stub.Bidi(talk)
            talk.say(Request(payload=b"x"))
            next(running)
        seen = s.wait_calls(1)[0]
        at = time.monotonic()
        running.cancel()
        assert seen.wait_over().cancelled or method in ("ClientStream", "Bidi")  # see Call
        assert seen.over_at - at < 1 * SLOW
        talk.close()
        assert stub.Unary(Request(payload=b"on")).payload == b"on"
    line = gw.access_log(2)[0]
    assert line["status"] == 499 or line["reason"] == "client_gone", line
    quiet(gw)


def test_cancel_while_nothing_is_read(pair):
    """R-5.1: a client that reads nothing, then gives up: nothing is stuck, the service stops."""
    gw, s = pair()
    with http2.Client(gw.address, credit=False) as c:
        stream = call(c, "ServerStream", Request(size=10000, count=1 << 30))
        c.take_all([stream], until=lambda got: len(got[stream].body) == 65535)
        c.rst(stream)
        assert s.calls[0].wait_over().cancelled
        c.update(0, 1 << 20)
        assert status(c.take(call(c, "Unary", Request())))[0] == 0
    quiet(gw)


def test_client_leaves(pair):
    """R-5.1: its connection is gone: all its calls are cancelled."""
    gw, s = pair()
    c = http2.Client(gw.address)
    for _ in range(20):
        call(c, "Unary", Request(hang=True))
    seen = s.wait_calls(20)
    c.reset()
    assert all(one.wait_over().cancelled for one in seen)
    quiet(gw)


# --- errors of the service ------------------------------------------------------------------------
@pytest.mark.parametrize("code", [c for c in Code if c is not Code.OK], ids=lambda c: c.name)
def test_errors_pass(pair, code):
    """R-5.1 R-5.3: every status, its text and its details; log and metric have it."""
    gw, _ = pair()
    with echo(gw.address) as stub:
        e = failed(stub.Unary, Request(code=code.value[0], message="what is wrong: 100% \u00fc", details=b"\0\1\xff"),
                   metadata=[("t-a", "b")])
    assert e.code() == code and e.details() == "what is wrong: 100% \u00fc"
    trailing = [tuple(m) for m in e.trailing_metadata()]
    assert ("grpc-status-details-bin", b"\0\1\xff") in trailing and ("t-a", "b") in trailing
    assert last_line(gw)["grpc_status"] == code.name
    assert calls(gw, code.name) == 1


def test_errors_after_replies(pair):
    """R-5.1: what was said before arrives."""
    gw, _ = pair()
    with echo(gw.address) as stub:
        stream = stub.ServerStream(Request(payload=b"x", count=5, code=10, message="enough"))
        got = []
        with pytest.raises(grpc.RpcError):
            for m in stream:
                got.append(m.number)
        assert got == [0, 1, 2, 3, 4] and stream.code() == Code.ABORTED and stream.details() == "enough"
        talk = Talk()
        stream = stub.Bidi(talk)
        talk.say(Request(payload=b"1"))
        assert next(stream).payload == b"1"
        talk.say(Request(code=9, message="no more"))
        with pytest.raises(grpc.RpcError):
            next(stream)
        assert stream.code() == Code.FAILED_PRECONDITION
        talk.close()


def test_trailers_only_passes(site):
    """R-5.1: one block, END_STREAM in it: it stays so."""
    with http2.Server(lambda x: x.respond(200, [("content-type", "application/grpc"), ("grpc-status", "5"),
                                                ("grpc-message", "not%20here")])) as b:
        gw = site(b.url)
        with http2.Client(gw.address) as c:
            answer = c.take(call(c, "Unary", Request()))
    assert trailers_only(answer) and status(answer) == (5, "not%20here")
    assert last_line(gw)["grpc_status"] == "NOT_FOUND" and calls(gw, "NOT_FOUND") == 1


@pytest.mark.parametrize("said", ["17", "99999999999999999999", "-1", "x", ""])
def test_status_that_is_none(site, said):
    """R-5.3: passed as it came; log and metrics do not invent one."""
    with http2.Server(lambda x: x.respond(200, [("content-type", "application/grpc")], trailers=[("grpc-status", said)])) as b:
        gw = site(b.url)
        with http2.Client(gw.address) as c:
            answer = c.take(call(c, "Unary", Request()))
    assert dict(answer.trailers)["grpc-status"] == said
    assert last_line(gw).get("grpc_status", "") == ""


def test_reset_by_the_service(site):
    """R-5.1: before an answer UNAVAILABLE in trailers only; in the middle of one a reset."""
    def handler(x):
        if x.path.endswith("Bidi"):
            x.head(200, [("content-type", "application/grpc")])
            x.write(framed(Reply(payload=b"half")))
        x.reset(http2.INTERNAL_ERROR)

    with http2.Server(handler) as b:
        gw = site(b.url, service="health = { passive = false; };")
        with http2.Client(gw.address) as c:
            answer = c.take(call(c, "Unary", Request()))
            assert trailers_only(answer) and status(answer)[0] == 14
            answer = c.take(call(c, "Bidi", Request()))
            assert answer.reset is not None and status(answer)[0] is None
            assert messages(answer)[0].payload == b"half"
    quiet(gw)


# --- errors of the gateway ------------------------------------------------------------------------
def own(gw, code, name, method="Unary", message=None, **kw):
    """A call that the gateway itself answers; as bare octets, and as grpcio sees it."""
    with http2.Client(gw.address) as c:
        answer = c.take(call(c, method, message or Request(), **kw))
    assert trailers_only(answer), answer
    assert answer.get("content-type") == "application/grpc"
    assert status(answer)[0] == code.value[0] and status(answer)[1], answer
    line = gw.access_log(1)[-1]
    assert line["grpc_status"] == code.name and line["reason"] == name, line
    if not kw:
        with channel(gw.address) as ch:
            path = method if method.startswith("/") else "/echo.Echo/" + method
            e = failed(ch.unary_unary(path), (message or Request()).SerializeToString())
            assert e.code() == code, e
    return answer


def test_no_route(pair):
    """R-5.3"""
    gw, _ = pair()
    own(gw, Code.UNIMPLEMENTED, "no_route", "/no.Such/Thing")


def test_unknown_method_is_the_services_word(pair):
    """R-5.3"""
    gw, _ = pair()
    with http2.Client(gw.address) as c:
        assert status(c.take(call(c, "Nothing", Request())))[0] == 12


def test_connect_refused(site):
    """R-5.3"""
    gw = site(f"http://127.0.0.1:{free_port()}", service="health = { passive = false; };")
    own(gw, Code.UNAVAILABLE, "connect_failed")
    assert calls(gw, "UNAVAILABLE") == 2


def test_no_endpoint(site):
    """R-5.3: all of them are out."""
    gw = site(f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}",
              service='health = { passive = true; failures = 1; }; retry = { attempts = 1; };')
    with http2.Client(gw.address) as c:
        for _ in range(4):
            answer = c.take(call(c, "Unary", Request()))
            assert trailers_only(answer) and status(answer)[0] == 14


def test_too_large(pair):
    """R-5.3: by a declared length and by counting."""
    gw, s = pair(listener="limits = { body = 10000; };")
    own(gw, Code.RESOURCE_EXHAUSTED, "body_too_large", message=Request(payload=bytes(20000)))
    with http2.Client(gw.address) as c:
        answer = c.take(call(c, "Unary", None, fields=[("content-length", "20000")]))
        assert trailers_only(answer) and status(answer)[0] == 8
        assert status(c.take(call(c, "Unary", Request(payload=bytes(5000)))))[0] == 0
    until(lambda: all(one.over.is_set() for one in s.calls), 10, "all calls to be over")
    quiet(gw)


def test_denied_by_address(pair):
    """R-5.3"""
    gw, s = pair(route='policies = ( { policy = "ip"; deny = [ "127.0.0.0/8" ]; } );')
    own(gw, Code.PERMISSION_DENIED, "ip_denied")
    assert not s.calls


def test_first_byte_timeout(pair):
    """R-5.3: the service is silent for too long, and there was no deadline."""
    gw, s = pair(service='timeouts = { first_byte = "300ms"; };')
    own(gw, Code.DEADLINE_EXCEEDED, "first_byte_timeout", message=Request(hang=True))
    assert s.calls[0].wait_over().cancelled


def test_upstream_speaks_http1(site, backend):
    """R-5.3: a service that does not speak HTTP/2 at all."""
    gw = site(backend().url, service="health = { passive = false; };")
    with http2.Client(gw.address) as c:
        answer = c.take(call(c, "Unary", Request()))
    assert trailers_only(answer) and status(answer)[0] == 14


def test_head_too_large(pair):
    """R-5.3: a call's head above the limit: an answer a client understands, or a reset; the connection lives."""
    gw, _ = pair(listener="limits = { headers = 8192; };")
    with http2.Client(gw.address) as c:
        answer = c.take(call(c, "Unary", None, fields=[("x", "y" * 9000)]))
        assert answer.status == 431 or status(answer)[0] == 8 or answer.reset is not None, answer
        assert status(c.take(call(c, "Unary", Request())))[0] == 0


def test_web_clients_without_grpc_get_http(pair):
    """R-5.3: who does not call sees HTTP's own status and problem body."""
    gw, _ = pair()
    with http2.Client(gw.address) as c:
        for type in ("application/json", "application/grpcx"):
            answer = c.ask("POST", "/none", [("content-type", type)], body=b"x")
            assert answer.status == 404 and answer.get("content-type") == "application/problem+json"


def test_call_over_http1(pair):
    """R-5.3: a call that comes by HTTP/1.1 is told its status in the head."""
    gw, _ = pair()
    answer = gw.ask("POST", "/none", {"Content-Type": "application/grpc", "TE": "trailers"}, b"")
    assert answer.status == 200 and answer.get("grpc-status") == "12"


# --- health protocol ------------------------------------------------------------------------------
def test_health_protocol(pair):
    """R-5.4 R-4.3: Check and Watch pass."""
    gw, s = pair()
    with channel(gw.address) as ch:
        check, watch = ch.unary_unary(HEALTH + "Check"), ch.unary_stream(HEALTH + "Watch")
        assert check(b"") == b"\x08\x01" and check(b"\x0a\x09echo.Echo") == b"\x08\x01"
        assert failed(check, b"\x0a\x01x").code() == Code.NOT_FOUND
        news = watch(b"")
        assert next(news) == b"\x08\x01"
        s.serving = False
        assert next(news) == b"\x08\x02" and check(b"") == b"\x08\x02"
        news.cancel()


# --- retries --------------------------------------------------------------------------------------
def leave(conn):
    """A server that says GOAWAY before it looked at anything."""
    conn.settings(())
    conn.wait(lambda f: f.type == http2.HEADERS)
    conn.bye(0)
    conn.close()


@pytest.mark.parametrize("bad", [{"handler": lambda x: x.reset(http2.REFUSED_STREAM)}, {"raw": leave}],
                         ids=["refused_stream", "goaway"])
def test_refused_calls(site, server, bad):
    """R-4.3: nobody has looked at it: while the client has said no more than the head, another endpoint gets the call;
    when messages are gone already, the client is told that it may call again (REFUSED_STREAM, RFC 9113 8.7)."""
    good = server()
    with http2.Server(**bad) as other:
        gw = site(other.url, good, service="retry = { attempts = 2; }; health = { passive = false; };")
        with http2.Client(gw.address) as c:
            for i in range(10):
                stream = call(c, "ClientStream", None)
                good.wait_calls(i + 1)
                c.upload(stream, framed(Request(payload=b"x")))
                assert messages(c.take(stream))[0].total == 1
            told = 0
            for i in range(10):
                answer = c.take(call(c, "Unary", Request(payload=b"%d" % i)))
                if answer.reset is not None:
                    assert answer.reset == http2.REFUSED_STREAM and answer.status is None
                    told += 1
                    answer = c.take(call(c, "Unary", Request(payload=b"%d" % i)))
                assert status(answer)[0] == 0 and messages(answer)[0].payload == b"%d" % i
        assert told <= 10 and other.conns
    assert len(good.calls) == 20
    quiet(gw)


def test_endpoint_restarts(site, server):
    """R-4.3: the service is stopped gracefully and started again: calls after that succeed on new connections."""
    s = server()
    gw = site(s, service="health = { passive = false; };")
    with echo(gw.address) as stub:
        assert stub.Unary(Request(payload=b"1")).payload == b"1"
        port = s.port
        s.server.stop(0).wait(10)
        assert failed(stub.Unary, Request()).code() == Code.UNAVAILABLE
        server(port=port)
        assert stub.Unary(Request(payload=b"2")).payload == b"2"


# --- TLS ------------------------------------------------------------------------------------------
def test_tls_on_both_sides(site, server, pki):
    """R-5.1: ALPN h2 towards client and service; every type of call."""
    root, leaf = pki.ca(), pki.leaf(NAME)
    s = server(tls=pki.leaf("127.0.0.1", ca=root))
    port = free_port()
    gw = site(s, service=f'tls = {{ ca = "{root.bundle}"; }};', tls=port,
              more=f'certificates = ( {certificate("a", leaf)} );',
              listener='}, { id = "tls"; address = "127.0.0.1:@tls@"; tls = { enabled = true; };'
              .replace("@tls@", str(port)))
    data = os.urandom(1 << 20)
    with echo((gw.host, port), tls=root, name=NAME) as stub:
        assert stub.Unary(Request(payload=data)).payload == data
        assert len(list(stub.ServerStream(Request(count=50)))) == 50
        assert stub.ClientStream(iter([Request(payload=data)] * 2)).total == 2 << 20
        assert [m.payload for m in stub.Bidi(iter([Request(payload=data)] * 3))] == [data] * 3
        assert failed(stub.Unary, Request(code=5)).code() == Code.NOT_FOUND
        assert failed(stub.Unary, Request(hang=True), timeout=0.3).code() == Code.DEADLINE_EXCEEDED


def test_tls_upstream_without_h2(site, backend, pki):
    """R-5.3: it does not choose h2 by ALPN: UNAVAILABLE, and the log says why."""
    root = pki.ca()
    b = backend(tls=server_tls(pki.leaf("127.0.0.1", ca=root)))
    gw = site(b, service=f'tls = {{ ca = "{root.bundle}"; }}; health = {{ passive = false; }};')
    with http2.Client(gw.address) as c:
        answer = c.take(call(c, "Unary", Request()))
    assert trailers_only(answer) and status(answer)[0] == 14


# --- log and metrics ------------------------------------------------------------------------------
def test_status_in_log_and_metrics(pair):
    """R-5.3: grpc_status and protocol of a line; calls by service and code."""
    gw, _ = pair()
    with echo(gw.address) as stub:
        for _ in range(3):
            stub.Unary(Request())
        list(stub.Bidi(iter([Request()])))
        failed(stub.Unary, Request(code=7))
    lines = gw.access_log(5)
    assert [line["grpc_status"] for line in lines] == ["OK"] * 4 + ["PERMISSION_DENIED"]
    assert {line["protocol"] for line in lines} <= {"h2", "HTTP/2", "HTTP/2.0", "http2"}, lines
    assert calls(gw, "OK") == 4 and calls(gw, "PERMISSION_DENIED") == 1
    assert "grpc_status" not in (gw.ask("GET", "/x") and gw.access_log(6)[-1])
