# SPDX-License-Identifier: Apache-2.0
"""gRPC-Web to a service of native gRPC (grpcio): calls made octet by octet over HTTP/1.1 and HTTP/2 in both forms, and
Chromium with npm's grpc-web. R-5.5 R-6.4"""
import base64
import struct

import pytest

import http2
import wire
from clients import Browser, modules
from gateway import SLOW, until
from grpc_echo import EchoServer, Reply, Request, echo, framed
from ports import free_port
from tls import NAME, certificate

BINARY, TEXT = "application/grpc-web+proto", "application/grpc-web-text+proto"
CORS = 'policy = "cors"; origins = [ "https://shop.example.com" ];'
EXPOSE = 'expose = [ "grpc-status", "grpc-message" ];'
SITE = """
    services = ( { id = "s"; protocol = "http2"; url = "@url@"; } );
    routes = ( { id = "echo"; path = "/echo.Echo/*"; service = "s"; @route@ policies = ( @policies@ ); } );
    listeners = ( { id = "main"; address = "127.0.0.1:@port@"; @listener@ } );
    workers = 1;
    @more@
"""
forms = pytest.mark.parametrize("form", [BINARY, TEXT], ids=["binary", "text"])
ways = pytest.mark.parametrize("way", ["h1", "h2"])


@pytest.fixture
def server():
    with EchoServer() as s:
        yield s


@pytest.fixture
def site(gateway):
    """A gateway in front of this server, with the policy on its route."""
    def make(server, **words):
        url = server if isinstance(server, str) else server.url
        words = {"policies": '{ policy = "grpc_web"; }', "route": "", "listener": "", "more": "", **words}
        return gateway(SITE.replace("@more@", words["more"]), url=url, **words)
    return make


# --- a client -------------------------------------------------------------------------------------
class Over1:
    """A call over HTTP/1.1; the request is chunked, so that it need not be all there."""

    def __init__(self, address, path, fields):
        self.c = wire.Client(address)
        self.c.request("POST", path, [*fields, ("Transfer-Encoding", "chunked")])

    def say(self, data, end):
        self.c.send((b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + (b"0\r\n\r\n" if end else b""))

    def head(self):
        m = self.c.head()
        self.fixed = m.get("Transfer-Encoding") is None and int(m.get("Content-Length"))
        return m.status, {n.lower(): v for n, v in m.headers}

    def more(self):
        """Some octets of the body, b"" at its end."""
        if self.fixed is not False:
            out, self.fixed = self.c.exactly(self.fixed), 0
            return out
        size = int(self.c.until(b"\r\n"), 16)
        out = self.c.exactly(size)
        assert self.c.exactly(2) == b"\r\n"  # and no trailers
        return out

    def close(self):
        self.c.close()


class Over2:
    """The same over HTTP/2."""

    def __init__(self, address, path, fields):
        self.c = http2.Client(address)
        self.stream = self.c.begin("POST", path, [(n.lower(), v) for n, v in fields], end=False)
        self.answer, self.at = http2.Answer(), 0

    def _until(self, what):
        self.c.take_all([self.stream], {self.stream: self.answer}, until=lambda _: what())

    def say(self, data, end):
        self.c.upload(self.stream, data, end=end, into={self.stream: self.answer})

    def head(self):
        self._until(lambda: self.answer.fields)
        return self.answer.status, dict(self.answer.fields)

    def more(self):
        a = self.answer
        self._until(lambda: len(a.body) > self.at or a.ended)
        if a.reset is not None:
            raise http2.H2Error(f"reset {a.reset}")
        out, self.at = a.body[self.at:], len(a.body)
        assert out or (a.ended and not a.trailers)
        return out

    def close(self):
        self.c.close()


class Web:
    """A call of gRPC-Web. form: the request's Content-Type; the answer's form is as it says itself."""

    def __init__(self, gw, way, form, method, fields=()):
        path = method if method.startswith("/") else "/echo.Echo/" + method
        self.text = "web-text" in form
        self.over = (Over1 if way == "h1" else Over2)(gw.address, path, [("Content-Type", form), ("X-Grpc-Web", "1"), *fields])
        self.status = self.fields = self.trailers = None
        self.raw = self.data = b""

    def say(self, message, end=False):
        data = framed(message) if not isinstance(message, bytes) else message
        return self.octets(base64.b64encode(data) if self.text else data, end)

    def octets(self, data, end=False):
        self.over.say(data, end)
        return self

    def _fill(self):
        if self.status is None:
            self.status, self.fields = self.over.head()
        piece = self.over.more()
        if "web-text" in self.fields["content-type"]:
            self.raw += piece
            whole = len(self.raw) // 4 * 4
            for at in range(0, whole, 4):
                self.data += base64.b64decode(self.raw[at:at + 4], validate=True)
            self.raw = self.raw[whole:]
        else:
            self.data += piece
        return bool(piece)

    def next(self):
        """The next reply; None when there are no more: then self.trailers are what the call came to."""
        while len(self.data) < 5 or len(self.data) < 5 + struct.unpack_from(">I", self.data, 1)[0]:
            if not self._fill():
                assert not self.data and not self.raw
                return None
        n = struct.unpack_from(">I", self.data, 1)[0]
        flag, payload, self.data = self.data[0], self.data[5:5 + n], self.data[5 + n:]
        if flag == 0:
            assert self.trailers is None
            return Reply.FromString(payload)
        assert flag == 0x80 and payload.endswith(b"\r\n")
        self.trailers = dict(line.split(": ", 1) for line in payload.decode().split("\r\n")[:-1])
        return self.next()

    def rest(self):
        return list(iter(self.next, None))

    def code(self):
        """What it came to, wherever that stands."""
        said = self.trailers or self.fields
        return int(said["grpc-status"]), said.get("grpc-message")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.close()


def told(gw, way, form, method, message, fields=()):
    """A whole call: (it, its replies)."""
    with Web(gw, way, form, method, fields) as w:
        return w, w.say(message, end=True).rest()


def last_line(gw, count=1):
    return gw.access_log(count, where=lambda line: "/echo.Echo/" in line.get("path", line.get("target", "")))[-1]


# --- calls ----------------------------------------------------------------------------------------
@ways
@forms
def test_unary(site, server, way, form):
    """R-5.5: the service sees a native call, the client its reply and the trailers as a frame."""
    gw = site(server)
    w, replies = told(gw, way, form, "Unary", Request(payload=b"hello"), [("i-first", "1"), ("t-last", "a, b")])
    assert [r.payload for r in replies] == [b"hello"]
    assert w.status == 200 and w.fields["content-type"] == form and w.fields["i-first"] == "1"
    assert "grpc-status" not in w.fields and w.trailers["grpc-status"] == "0" and w.trailers["t-last"] == "a, b"
    seen = {f.name: f.value for f in replies[0].metadata}
    assert seen["i-first"] == b"1" and "content-length" not in seen
    line = last_line(gw)
    assert line["status"] == 200 and line["grpc_status"] in (0, "OK")
    until(lambda: gw.metric("gateway_service_grpc_calls_total", service="s", code="OK") == 1, 5, "the count")


@ways
@forms
def test_server_stream(site, server, way, form):
    """R-5.5: many replies of every length behind one another."""
    gw = site(server)
    for size in (1, 2, 3, 10007):
        w, replies = told(gw, way, form, "ServerStream", Request(count=30, size=size))
        assert [(r.number, len(r.payload)) for r in replies] == [(i, size) for i in range(30)]
        assert w.code() == (0, "") or w.code() == (0, None)


@ways
@forms
def test_each_message_leaves_when_it_came(site, server, way, form):
    """R-5.5: nothing waits for what comes behind it, in no form and no direction: the next request is only made when
    the reply to the one before is there whole."""
    gw = site(server)
    with Web(gw, way, form, "Bidi") as w:
        for i in range(20):
            w.say(Request(payload=b"x" * i))
            assert w.next().payload == b"x" * i
        assert not server.calls[0].over.is_set()
        w.say(b"", end=True)
        assert w.next() is None and w.trailers["grpc-status"] == "0"


@ways
@forms
def test_large_messages(site, server, way, form):
    """1 MB both ways. R-5.5"""
    gw = site(server)
    w, replies = told(gw, way, form, "Unary", Request(payload=bytes(range(256)) * 4096))
    assert replies[0].payload == bytes(range(256)) * 4096 and w.trailers["grpc-status"] == "0"


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_text_in_pieces(site, server, step):
    """Base64 however it is cut, padded at the end of each piece that was encoded. R-5.5"""
    gw = site(server)
    data = framed(Request(payload=b"in pieces"))
    encoded = b"".join(base64.b64encode(data[i:i + step]) for i in range(0, len(data), step))
    with Web(gw, "h1", TEXT, "Unary") as w:
        for i in range(0, len(encoded), step):
            w.octets(encoded[i:i + step])
        replies = w.octets(b"", end=True).rest()
    assert replies[0].payload == b"in pieces"


def test_accept_chooses_the_form(site, server):
    """R-5.5: each direction has its own."""
    gw = site(server)
    w, replies = told(gw, "h1", BINARY, "Unary", Request(payload=b"a"), [("Accept", "application/grpc-web-text")])
    assert w.fields["content-type"] == TEXT and replies[0].payload == b"a"
    w, replies = told(gw, "h2", TEXT, "Unary", Request(payload=b"b"), [("Accept", "application/grpc-web")])
    assert w.fields["content-type"] == BINARY and replies[0].payload == b"b"


def test_native_calls_and_others_pass(site, server):
    """What is no gRPC-Web passes the policy as it is. R-5.5"""
    gw = site(server)
    with echo(gw.address) as stub:
        assert stub.Unary(Request(payload=b"native")).payload == b"native"

    def show(x):
        x.respond(200, [("content-type", "application/grpc"), ("x-type", dict(x.fields)["content-type"])], x.body())
    with http2.Server(show) as b:
        gw = site(b)
        for kind in ("application/json", "application/grpc-webs", "application/octet-stream"):
            m = wire.ask(gw.address, "POST", "/echo.Echo/x", {"Content-Type": kind}, b"octets")
            assert m.get("x-type") == kind and m.get("content-type") == "application/grpc" and m.body == b"octets"


@pytest.mark.parametrize("form", [BINARY, TEXT], ids=["binary", "text"])
def test_http_1_0(site, server, form):
    """A client of HTTP/1.0: the end of the connection is the end of the frames. R-5.5"""
    gw = site(server)
    data = framed(Request(payload=b"old"))
    m = wire.ask(gw.address, "POST", "/echo.Echo/Unary", {"Content-Type": form}, base64.b64encode(data) if form == TEXT
                 else data, version="HTTP/1.0")
    assert m.get("Transfer-Encoding") is None and m.get("Content-Type") == form
    trailers = b"grpc-status: 0\r\n"
    end = b"".join(base64.b64decode(m.body[i:i + 4]) for i in range(0, len(m.body), 4)) if form == TEXT else m.body
    assert b"old" in end and trailers in end


# --- what goes wrong ------------------------------------------------------------------------------
@ways
@forms
def test_errors_of_the_service(site, server, way, form):
    """R-5.5: status, message and details, after replies and without any."""
    gw = site(server)
    ask = Request(code=5, message="no gr\xf6\xdfe", details=b"\1\2\3", count=2)
    w, replies = told(gw, way, form, "ServerStream", ask)
    assert len(replies) == 2 and w.trailers["grpc-status"] == "5"
    assert w.trailers["grpc-message"] == "no gr%C3%B6%C3%9Fe"
    assert base64.b64decode(w.trailers["grpc-status-details-bin"] + "==") == b"\1\2\3"
    w, replies = told(gw, way, form, "Unary", Request(code=9, message="no"))
    assert replies == [] and w.code() == (9, "no") and w.fields["content-type"] == form
    assert last_line(gw, 2)["grpc_status"] in (9, "FAILED_PRECONDITION")


@ways
@forms
@pytest.mark.parametrize("expose", [True, False])
def test_trailers_only(site, way, form, expose):
    """A status in the head stays there, and is said again in the body where a page of another origin could not see
    it. R-5.5 R-6.4"""
    def refuse(x):
        x.body()
        x.respond(200, [("content-type", "application/grpc"), ("grpc-status", "7"), ("grpc-message", "no%21")])
    with http2.Server(refuse) as b:
        gw = site(b, policies="{ %s %s }, { policy = \"grpc_web\"; }" % (CORS, EXPOSE if expose else ""))
        w, replies = told(gw, way, form, "Unary", Request(), [("Origin", "https://shop.example.com")])
    assert replies == [] and w.status == 200 and w.fields["grpc-status"] == "7" and w.fields["content-type"] == form
    assert w.trailers == (None if expose else {"grpc-status": "7", "grpc-message": "no%21"})


@ways
def test_a_lost_status(site, way):
    """A service that ends without one did not succeed; one that breaks off is broken off. R-5.5"""
    def lose(x):
        x.body()
        x.respond(200, [("content-type", "application/grpc")], framed(Reply(payload=b"a")))

    def tear(x):
        x.body()
        x.head(200, [("content-type", "application/grpc")], end=False)
        x.write(framed(Reply(payload=b"a")), end=False)
        x.reset(http2.INTERNAL_ERROR)
    with http2.Server(lose) as b:
        w, replies = told(site(b), way, BINARY, "ServerStream", Request())
        assert len(replies) == 1 and w.code()[0] == 2
    with http2.Server(tear) as b:
        gw = site(b)
        with pytest.raises((wire.WireError, http2.H2Error, OSError, ValueError)):
            told(gw, way, BINARY, "ServerStream", Request())


@ways
@forms
def test_errors_of_the_gateway(site, server, way, form):
    """R-5.5 R-4.3: trailers-only, whatever is wrong, and for calls that no policy has seen too."""
    gw = site(server)
    w, replies = told(gw, way, form, "/nowhere/X", Request())
    assert (w.status, w.fields["content-type"], w.fields["grpc-status"]) == (200, form, "12") and replies == []
    w, _ = told(gw, way, form, "Unary", Request(), [("grpc-timeout", "soon")])
    assert w.code()[0] == 13
    w, _ = told(gw, way, form, "Unary", Request(hang=True), [("grpc-timeout", "150m")])
    assert w.status == 200 and w.code()[0] == 4
    assert server.calls[-1].wait_over().cancelled
    gw = site(f"http://127.0.0.1:{free_port()}")
    w, _ = told(gw, way, form, "Unary", Request())
    assert w.status == 200 and w.code()[0] == 14 and w.trailers is None
    until(lambda: gw.metric("gateway_service_grpc_calls_total", service="s", code="UNAVAILABLE") == 1, 5, "the count")


@ways
@forms
def test_deadline_in_the_middle_of_a_stream(site, server, way, form):
    """R-5.5 R-5.2: replies have begun already; the end comes as trailers do."""
    gw = site(server)
    with Web(gw, way, form, "Bidi", [("grpc-timeout", "700m")]) as w:
        assert w.say(Request(payload=b"x")).next().payload == b"x"
        assert w.next() is None and w.trailers["grpc-status"] == "4"
    server.calls[0].wait_over()
    assert last_line(gw)["grpc_status"] in (4, "DEADLINE_EXCEEDED")


@ways
@forms
def test_half_a_message(site, way, form):
    """A service that ends within a message: the client sees a broken answer, not a good one. R-5.5"""
    def halve(x):
        x.body()
        x.respond(200, [("content-type", "application/grpc")], framed(b"message")[:-1], [("grpc-status", "0")])
    with http2.Server(halve) as b:
        gw = site(b)
        with pytest.raises((wire.WireError, http2.H2Error, OSError, ValueError)):
            told(gw, way, form, "Unary", Request())
        assert last_line(gw)["reason"] == "upstream_aborted"


def test_the_connection_goes_on(site, server):
    """An error in a head without a body is framed in HTTP/1.1. R-5.5"""
    gw = site(server)
    with wire.Client(gw.address) as c:
        for _ in range(3):
            m = c.ask("POST", "/nowhere", {"Content-Type": BINARY}, b"\0\0\0\0\0")
            assert (m.status, m.get("Content-Length"), m.get("grpc-status")) == (200, "0", "12")


@ways
@pytest.mark.parametrize("bad", [b"AAAA!AAA", b"AAAAA", b"=AAA", b"AAA=A=AA", b"AA-_"])
def test_bad_base64(site, server, way, bad):
    """Refused, counted, and never a message at the service. R-5.5"""
    gw = site(server)
    with Web(gw, way, TEXT, "Unary") as w:
        assert w.octets(bad, end=True).rest() == []
        assert w.status == 200 and w.code()[0] == 13
    until(lambda: gw.metric("gateway_errors_total", reason="bad_body") == 1, 5, "bad_body to be counted")
    assert last_line(gw)["reason"] == "bad_body"
    assert all(not c.messages for c in server.calls)


def test_too_large(site, server):
    """R-5.5: the limit is of what comes; the answer is a call's."""
    gw = site(server, route='limits = { body = "1k"; };')
    w, _ = told(gw, "h2", TEXT, "Unary", Request(payload=b"x" * 900))
    assert w.code()[0] == 8


def test_a_client_that_leaves(site, server):
    """The service's call ends with it. R-5.5"""
    gw = site(server)
    for way in ("h1", "h2"):
        with Web(gw, way, TEXT, "ServerStream") as w:
            w.say(Request(count=100000, size=100, delay_ms=20), end=True)
            assert w.next().number == 0
        assert server.calls[-1].wait_over().cancelled


# --- pages ----------------------------------------------------------------------------------------
def test_preflight(site, server):
    """R-6.4: asked by a page before its call, answered here; the answer's status is exposed."""
    gw = site(server, policies="{ %s %s }, { policy = \"grpc_web\"; }" % (CORS, EXPOSE))
    origin = ("Origin", "https://shop.example.com")
    m = wire.ask(gw.address, "OPTIONS", "/echo.Echo/Unary", [
        origin, ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type,x-grpc-web,x-user-agent,grpc-timeout")])
    assert m.status == 204 and "x-grpc-web" in m.get("Access-Control-Allow-Headers") and not server.calls
    w, replies = told(gw, "h1", TEXT, "Unary", Request(payload=b"a"), [origin])
    assert replies[0].payload == b"a" and w.fields["access-control-allow-origin"] == origin[1]
    assert "grpc-status" in w.fields["access-control-expose-headers"]


PAGE = b"""<!doctype html><title>calls</title>
<script>globalThis.module = { exports: {} }; globalThis.exports = module.exports;</script>
<script src="/grpc-web.js"></script><script>
const web = module.exports;
const plain = (s) => Uint8Array.from(atob(s), (c) => c.charCodeAt(0));
const coded = (b) => btoa(String.fromCharCode(...b));
const way = (name, kind) => new web.MethodDescriptor("/echo.Echo/" + name, kind, Object, Object, plain, coded);
function unary(host, format, message, metadata) {
	const client = new web.GrpcWebClientBase({ format });
	return client.unaryCall(host + "/echo.Echo/Unary", message, metadata || {}, way("Unary", "unary"))
		.then((reply) => ({ reply }), (e) => ({ code: e.code, message: e.message }));
}
function stream(host, message, metadata) {
	const client = new web.GrpcWebClientBase({ format: "text" });
	const seen = { replies: [], errors: [], status: [], ended: 0 };
	const s = client.serverStreaming(host + "/echo.Echo/ServerStream", message, metadata || {},
		way("ServerStream", "server_streaming"));
	s.on("data", (reply) => seen.replies.push(reply));
	s.on("error", (e) => seen.errors.push([e.code, e.message]));
	s.on("status", (e) => seen.status.push(e.code));
	s.on("end", () => seen.ended++);
	seen.cancel = () => s.cancel();
	return seen;
}
</script>"""


@pytest.mark.xdist_group("alone")
@pytest.mark.timeout(240 * SLOW)
def test_browser(site, server, backend, pki, tmp_path):
    """Chromium, a page of another origin, npm's grpc-web; over HTTP/1.1 and, with TLS, HTTP/2: unary calls in both
    forms, streams seen while they come, errors of the service and of the gateway, once each. R-5.5 R-6.4"""
    script = (modules() / "grpc-web" / "index.js").read_bytes()

    def show(x):
        kind, body = ("text/javascript", script) if x.request.target == "/grpc-web.js" else ("text/html", PAGE)
        x.respond(200, {"Content-Type": kind}, body)
    page, port = backend(show), free_port()
    policies = '{ policy = "cors"; origins = "*"; %s }, { policy = "grpc_web"; }'
    gw = site(server, policies=policies % EXPOSE, tls=port,
              more=f'certificates = ( {certificate("a", pki.leaf(NAME, ca=pki.ca()))} );',
              listener='}, { id = "tls"; address = "127.0.0.1:%d"; tls = { enabled = true; };' % port)
    quiet = site(server, policies=policies % "")  # shows pages no field
    down = site(f"http://127.0.0.1:{free_port()}", policies=policies % "")

    def b64(**kw):
        return base64.b64encode(Request(**kw).SerializeToString()).decode()

    def replies(seen):
        return [Reply.FromString(base64.b64decode(r)) for r in seen["replies"]]

    with Browser(page.url + "/", tmp_path / "home", [pki.ca()]) as b:
        assert b.page.get("status") == 200
        for host in (f"http://127.0.0.1:{gw.port}", f"https://{NAME}:{port}"):
            for form in ("text", "binary"):
                got = b.value(f"unary('{host}', '{form}', '{b64(payload=b'hello')}', {{ 'x-mark': 'm' }})")
                answer = Reply.FromString(base64.b64decode(got["reply"]))
                assert answer.payload == b"hello"
                assert ("x-mark", b"m") in [(f.name, f.value) for f in answer.metadata]
                got = b.value(f"unary('{host}', '{form}', '{b64(code=5, message='none here')}')")
                assert got == {"code": 5, "message": "none here"}
            b.value(f"window.s = stream('{host}', '{b64(count=10, delay_ms=50, size=4)}'), 1")
            until(lambda: b.value("s.ended") == 1, 20, "the stream's end", 0.1)
            seen = b.value("s")
            assert [r.number for r in replies(seen)] == list(range(10)) and seen["errors"] == []
            b.value(f"window.s = stream('{host}', '{b64(count=100000, delay_ms=30, size=1)}'), 1")
            until(lambda: b.value("s.replies.length") > 3, 20, "replies while the stream goes on", 0.1)
            b.value("s.cancel(), 1")
            assert server.calls[-1].wait_over().cancelled
            b.value(f"window.s = stream('{host}', '{b64(count=2, code=9, message='over')}'), 1")
            until(lambda: b.value("s.errors.length") > 0 and b.value("s.ended"), 20, "the stream's error", 0.1)
            seen = b.value("s")
            assert len(seen["replies"]) == 2 and seen["errors"] == [[9, "over"]]
        # An error in the head: seen with and without leave to read its fields, and once.
        for g in (gw, quiet):
            host = f"http://127.0.0.1:{g.port}"
            got = b.value(f"unary('{host}', 'text', '{b64(hang=True)}', {{ 'grpc-timeout': '200m' }})")
            assert got["code"] == 4, got
            b.value(f"window.s = stream('{host}', '{b64(hang=True)}', {{ 'grpc-timeout': '200m' }}), 1")
            until(lambda: b.value("s.errors.length") > 0 and b.value("s.ended + s.errors.length"), 20, "the error", 0.1)
            assert [e[0] for e in b.value("s.errors")] == [4]
        for form in ("text", "binary"):
            got = b.value(f"unary('http://127.0.0.1:{down.port}', '{form}', '{b64()}')")
            assert got["code"] == 14 and "upstream" in got["message"], got
