# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 with clients and upstreams: every way in, switches, translation both ways, flow control, ends of
streams and connections (R-1.1, R-5.1 to R-5.4, R-6.1, R-7.1). RFC 9113's rules one by one: test_h2_rfc.py; limits:
test_h2_limits.py; the kit: lib/http2.py.
"""
import random
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

import http2
from backend import Backend, reply
from gateway import SLOW, until
from http2 import (CANCEL, DATA, GOAWAY, INITIAL_WINDOW_SIZE, INTERNAL_ERROR, MAX_CONCURRENT_STREAMS, NO_ERROR,
                   PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM, Session, block, request)
from ports import free_port
from tls import certificate, context
from wire import Client as Client1, WireError

CONF = """
    workers = @workers@;
    services = ( { id = "s1"; url = "@one@"; timeouts = { total = "60s"; }; },
                 { id = "s2"; url = "@two@"; protocol = "http2"; timeouts = { total = "60s"; }; } );
    routes = ( { id = "one"; path = "/1/*"; service = "s1"; @route@ }, { id = "two"; path = "/2/*"; service = "s2"; @route@ } );
    certificates = ( @certificates@ );
    listeners = ( { id = "main"; address = "127.0.0.1:@port@"; @settings@ }@more@ );
"""
TLS = """, { id = "tls"; address = "127.0.0.1:@tls@"; tls = { enabled = true; }; @settings@ }"""


def site(gateway, one="http://127.0.0.1:1", two="http://127.0.0.1:1", settings="", pki=None, workers=1, route="", **kw):
    """Routes /1 to an HTTP/1.1 upstream, /2 to an HTTP/2 one."""
    if pki:
        port = free_port()
        kw.update(tls=port, certificates=certificate("a", pki.leaf(["a.example"], pki.ca())),
                  more=TLS.replace("@settings@", settings).replace("@tls@", str(port)))
    kw.setdefault("certificates", "")
    kw.setdefault("more", "")
    url = [u if isinstance(u, str) else u.url for u in (one, two)]
    return gateway(CONF, one=url[0], two=url[1], settings=settings, workers=workers, route=route, **kw)


def stream_echo(x):
    """HTTP/1.1: what comes goes back as it comes, chunked, with the trailers."""
    x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    w, message = x.wire, x.request
    if message.get("Content-Length"):
        left = int(message.get("Content-Length"))
        while left:
            if not w.buf and not w.fill():
                raise WireError("short")
            part, w.buf = w.buf[:left], w.buf[left:]
            left -= len(part)
            x.send(b"%x\r\n%b\r\n" % (len(part), part))
    elif message.get("Transfer-Encoding"):
        while (n := int(w.until(b"\r\n").split(b";")[0], 16)) > 0:
            x.send(b"%x\r\n%b\r\n" % (n, w.exactly(n)))
            w.exactly(2)
        while w.until(b"\r\n"):
            pass
    x.send(b"0\r\n\r\n")


def stream_echo2(x):
    """The same for HTTP/2."""
    x.head()
    while part := x.piece():
        x.write(part)
    if part is not None:
        x.conn.data(x.id, b"")


@pytest.fixture
def server():
    """A factory of HTTP/2 upstreams."""
    made = []

    def make(*args, **kw):
        made.append(http2.Server(*args, **kw))
        return made[-1]
    yield make
    for s in made:
        s.close()


def noise(n):
    return random.Random(n).randbytes(n)


# --- ways in --------------------------------------------------------------------------------------
def curl(*args, check=True):
    done = subprocess.run(["curl", "-sS", "-o", "-", "-w", "\n%{http_version} %{http_code} %{num_connects}", *map(str, args)],
                          capture_output=True, timeout=60 * SLOW, check=False)
    if check:
        assert done.returncode == 0, done
    body, _, said = done.stdout.rpartition(b"\n")
    done.body, (done.version, done.code, done.connects) = body, said.decode().split()
    return done


def test_curl(gateway, backend, server, pki, tmp_path):
    """R-1.1, R-5.1: curl's HTTP/1.0, 1.1, 2 by upgrade, by prior knowledge, by ALPN, on one port; bodies both ways."""
    gw = site(gateway, backend(lambda x: x.respond(200, body=x.request.body)), server(stream_echo2), pki=pki)
    tls = ["--cacert", pki.ca().bundle, "--resolve", f"a.example:{gw.words['tls']}:127.0.0.1"]
    https = f"https://a.example:{gw.words['tls']}"
    big = tmp_path / "big"
    big.write_bytes(noise(1 << 20))
    for url, how, version in ((gw.url, ["--http1.0"], "1.1"), (gw.url, ["--http1.1"], "1.1"), (gw.url, ["--http2"], "2"),
                              (gw.url, ["--http2-prior-knowledge"], "2"), (https, ["--http1.1", *tls], "1.1"), (https, ["--http2", *tls], "2")):
        for to in "12":
            got = curl(*how, f"{url}/{to}/x")
            assert (got.version, got.code) == (version, "200"), (how, got)
            got = curl(*how, "--data-binary", f"@{big}", "-H", "Expect:", f"{url}/{to}/x")
            assert got.code == "200" and got.body == big.read_bytes(), (how, got.stderr)
            # a request with a body is not upgraded
            assert got.version == ("1.1" if how == ["--http2"] and url == gw.url else version)
    lines = gw.access_log(24)
    assert {line["status"] for line in lines} == {200}


def test_nghttp(gateway, backend, server):
    """R-1.1, R-5.1: nghttp by prior knowledge and by upgrade, several requests of one connection, a body."""
    gw = site(gateway, backend(reply(200, body=b"hello")), server())
    for how in ([], ["-u"]):
        done = subprocess.run(["nghttp", "-n", "-v", "--no-dep", *how, f"{gw.url}/1/a", f"{gw.url}/2/b", f"{gw.url}/1/c"], capture_output=True,
                              text=True, timeout=30 * SLOW, check=False)
        assert done.returncode == 0 and len(re.findall(r":status: 200", done.stdout)) == 3, done.stdout
    done = subprocess.run(["nghttp", "-v", "-d", "-", f"{gw.url}/2/b"], input="x" * 100000, capture_output=True, text=True, timeout=30 * SLOW,
                          check=False)
    assert done.returncode == 0 and "x" * 1000 in done.stdout


@pytest.mark.xdist_group("alone")
def test_h2load(gateway, server):
    """R-5.1: thousands of requests, side by side on few connections."""
    s = server(lambda x: x.respond(200, body=b"hello"))
    gw = site(gateway, two=s, workers=2)
    done = subprocess.run(["h2load", "-n", "2000", "-c", "4", "-m", "10", f"{gw.url}/2/x"], capture_output=True, text=True,
                          timeout=100 * SLOW, check=False)
    assert "2000 done, 2000 succeeded, 0 failed, 0 errored" in done.stdout, done.stdout
    assert len(s.conns) < 60 and len(s.requests) == 2000
    until(lambda: gw.metric("gateway_client_connections") == 0, what="connections to be counted off")


UPGRADE = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")]


def ways(gw, pki=None):
    """Which ways in are open: {"1", "prior", "upgrade", "alpn", "tls1"}."""
    out = set()
    if gw.ask("GET", "/1/x").status == 200:
        out.add("1")
    with http2.Client(gw.address) as c:
        try:
            f = c.read()
            if f and f.type == http2.SETTINGS and c.ask("GET", "/1/x").status == 200:
                out.add("prior")
        except http2.H2Error:
            pass
    with Client1(gw.address) as c:
        c.request("GET", "/1/x", UPGRADE)
        if c.head().status == 101:
            out.add("upgrade")
    if pki:
        for offer, name in ((("h2", "http/1.1"), "alpn"), (("http/1.1",), "tls1")):
            try:
                with http2.connect((gw.host, gw.words["tls"]), context(pki.ca()), "a.example", alpn=offer) as s:
                    if s.selected_alpn_protocol() == offer[0]:
                        out.add(name)
            except OSError:
                pass
    return out


@pytest.mark.parametrize("settings, open", [
    ("", {"1", "prior", "upgrade", "alpn", "tls1"}),
    ("http2 = { enabled = false; };", {"1", "tls1"}),
    ("http2 = { prior_knowledge = false; };", {"1", "upgrade", "alpn", "tls1"}),
    ("http2 = { upgrade = false; };", {"1", "prior", "alpn", "tls1"})], ids=["all", "off", "no-prior", "no-upgrade"])
def test_switches(gateway, backend, pki, settings, open):
    """R-1.1, R-5.1: each way of HTTP/2 can be closed, and the others stay open."""
    gw = site(gateway, backend(), settings=settings, pki=pki)
    assert ways(gw, pki) == open


def test_no_http1(gateway, backend, pki):
    """R-1.1: http1 = false answers 505, and HTTP/2 goes on; over TLS only h2 is agreed on."""
    gw = site(gateway, backend(), settings="http1 = false;", pki=pki, start=False)
    gw.start(ready=False)

    def ready():
        try:
            return http2.ask(gw.address, "GET", "/health").status == 200
        except (OSError, http2.H2Error):
            return False
    until(ready)
    with Client1(gw.address) as c:
        assert c.ask("GET", "/1/x").status == 505 and c.closed()
    with Client1(gw.address) as c:  # who upgrades does speak HTTP/2
        assert c.request("GET", "/1/x", UPGRADE).head().status == 101
    assert http2.ask(gw.address, "GET", "/1/x").status == 200
    assert ways_tls(gw, pki) == {"alpn"}


def ways_tls(gw, pki):
    out = set()
    for offer, name in ((("h2", "http/1.1"), "alpn"), (("http/1.1",), "tls1")):
        try:
            with http2.connect((gw.host, gw.words["tls"]), context(pki.ca()), "a.example", alpn=offer) as s:
                if s.selected_alpn_protocol() == offer[0]:
                    out.add(name)
        except OSError:
            pass
    return out


# --- translation: bodies --------------------------------------------------------------------------
SIZES = [0, 1, 16383, 16384, 16385, 65535, 65536, 300000, 3 << 20]


@pytest.mark.parametrize("to", ["1", "2"])
def test_bodies_from_http2(gateway, backend, server, to):
    """R-5.1, R-5.2: bodies of every size, in both directions at once, all streams side by side, octet for octet."""
    gw = site(gateway, backend(stream_echo, read_body=False), server(stream_echo2))
    with Session(gw.address) as s:
        bodies = {s.begin("POST", f"/{to}/{n}", end=False): noise(n) for n in SIZES}
        s.sock.settimeout(30 * SLOW)
        answers = s.exchange(bodies)
        for stream, body in bodies.items():
            a = answers[stream]
            assert a.status == 200 and a.ended and a.body == body, (len(body), len(a.body), a.reset)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("size", SIZES)
def test_bodies_to_http2(gateway_two, size, chunked):
    """R-5.2: HTTP/1.1's bodies through an HTTP/2 upstream, both directions at once."""
    body = noise(size)
    with Client1(gateway_two.address, timeout=30 * SLOW) as c:
        c.request("POST", "/2/x", [("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(size))])
        octets = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (body[i:i + 50000] for i in range(0, size, 50000))) + b"0\r\n\r\n" \
            if chunked else body
        t = threading.Thread(target=c.send, args=(octets,))
        t.start()
        a = c.response("POST")
        t.join()
        assert a.status == 200 and a.body == body
        if a.get("Connection") != "close":  # the answer began before its request was whole
            assert c.ask("GET", "/2/again").status == 200


@pytest.fixture(scope="module")
def gateway_two():
    from gateway import Gateway
    with http2.Server(stream_echo2) as s:
        with Gateway(CONF, one=s.url, two=s.url, settings="", workers=1, route="", certificates="", more="") as gw:
            yield gw


def test_lengths(gateway, backend, server):
    """R-5.2: content-length passes where it is known, chunked framing never does."""
    gw = site(gateway, backend(lambda x: x.respond(200, body=b"x" * 10, chunked=x.request.target.endswith("chunked"))),
              server(lambda x: x.respond(200, [("content-length", "10")] if x.path.endswith("length") else [], b"x" * 10)))
    with http2.Client(gw.address) as c:
        for path, length in (("/1/length", "10"), ("/1/chunked", None), ("/2/length", "10"), ("/2/none", None)):
            a = c.ask("GET", path)
            assert a.body == b"x" * 10 and a.get("content-length") == length and a.get("transfer-encoding") is None, (path, a)
    with gw.client() as c:
        a = c.ask("GET", "/2/length")
        assert a.get("Content-Length") == "10" and a.body == b"x" * 10
        a = c.ask("GET", "/2/none")
        assert a.get("Transfer-Encoding") == "chunked" and a.body == b"x" * 10


@pytest.mark.parametrize("to", ["1", "2"])
@pytest.mark.parametrize("of", ["1", "2"])
def test_bodiless(gateway, backend, server, of, to):
    """R-5.2: HEAD, 204 and 304 have no body, and the fields they come with stay."""
    def one(x):
        status = 200 if x.request.method == "HEAD" else int(x.request.target[-3:])
        x.send(f"HTTP/1.1 {status} OK\r\n" + ("" if status == 204 else "Content-Length: 5\r\n") + "ETag: \"a\"\r\n\r\n")

    def two(x):
        status = 200 if x.method == "HEAD" else int(x.path[-3:])
        x.head(status, [("etag", '"a"')] + ([] if status == 204 else [("content-length", "5")]), end=True)
    gw = site(gateway, backend(one), server(two))
    client = http2.Client(gw.address) if of == "2" else gw.client()
    with client as c:
        for method, status in (("HEAD", 200), ("GET", 204), ("GET", 304), ("HEAD", 200), ("GET", 204)):
            a = c.ask(method, f"/{to}/{status}")
            names = {n.lower(): v for n, v in (a.fields if of == "2" else a.headers)}
            assert a.status == status and a.body == b"" and names["etag"] == '"a"', a
            assert names.get("content-length") in ((None,) if status == 204 else ("5",) if method == "HEAD" else ("5", None))
            if of == "2":
                assert a.ended and a.reset is None


def trailing_one(x):
    x.send("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
           f"X-Sum: {dict(x.request.trailers).get('x-sum') or dict(x.request.trailers).get('X-Sum')}\r\n\r\n")


def trailing_two(x):
    x.body()
    x.respond(200, [("trailer", "x-sum")], b"abc", trailers=[("x-sum", str(dict(x.trailers).get("x-sum")))])


@pytest.mark.parametrize("to", ["1", "2"])
@pytest.mark.parametrize("of", ["1", "2"])
def test_trailers(gateway, backend, server, of, to):
    """R-5.2, R-6.1: trailers of requests and responses, between all versions."""
    gw = site(gateway, backend(trailing_one), server(trailing_two))
    if of == "2":
        with http2.Client(gw.address) as c:
            a = c.ask("POST", f"/{to}/x", [("te", "trailers")], body=b"hello", trailers=[("x-sum", "1234")])
            assert a.status == 200 and a.body == b"abc" and a.trailers == [("x-sum", "1234")], a
            a = c.ask("POST", f"/{to}/x", [("te", "trailers")], trailers=[("x-sum", "5")])  # and no body
            assert a.status == 200 and a.trailers == [("x-sum", "5")], a
    else:
        with gw.client() as c:
            c.request("POST", f"/{to}/x", [("Transfer-Encoding", "chunked"), ("TE", "trailers"), ("Connection", "TE")])
            c.send("5\r\nhello\r\n0\r\nX-Sum: 1234\r\n\r\n")
            a = c.response("POST")
            assert a.status == 200 and a.body == b"abc" and [(n.lower(), v) for n, v in a.trailers] == [("x-sum", "1234")], a


def test_trailers_only(gateway, server):
    """R-6.1: a response that is one HEADERS frame, and trailers behind an empty body."""
    gw = site(gateway, two=server(lambda x: x.head(200, [("x-status", "7")], end=True) if x.path.endswith("only") else
                                  x.respond(200, [], b"", trailers=[("x-status", "7")])))
    with http2.Client(gw.address) as c:
        a = c.ask("POST", "/2/only", body=b"x")
        assert a.ended and a.get("x-status") == "7" and not a.trailers and len(a.heads) == 1
        assert not [f for f in c.seen if f.type == DATA]
        a = c.ask("POST", "/2/behind", body=b"x")
        assert a.ended and a.trailers == [("x-status", "7")]


def test_continue(gateway, backend, server):
    """R-5.2: Expect: 100-continue is answered by the gateway, between all versions; upstreams don't see it."""
    one, two = backend(), server()
    gw = site(gateway, one, two)
    for to in "12":
        with http2.Client(gw.address) as c:
            stream = c.begin("POST", f"/{to}/x", [("expect", "100-continue")], end=False)
            answer = c.take_all([stream], until=lambda a: a[stream].heads)[stream]
            assert answer.status == 100
            c.data(stream, b"hello")
            assert c.take(stream, answer).status == 200 and answer.interim == [100]
            assert answer.json()["body"] == "hello" and "expect" not in str(answer.json()).lower()
    with gw.client() as c:
        c.request("POST", "/2/x", [("Expect", "100-continue"), ("Content-Length", "5")])
        assert c.head().status == 100
        c.send(b"hello")
        a = c.response("POST")
        assert a.json()["body"] == "hello" and "expect" not in a.body.decode().lower()


def test_interim_of_upstream(gateway, server):
    """R-5.2: interim responses of an upstream end there."""
    def two(x):
        x.conn.headers(x.id, [(":status", "103"), ("link", "</a>")], end=False)
        x.respond(200, [], b"x")
    gw = site(gateway, two=server(two))
    assert http2.ask(gw.address, "GET", "/2/x").status == 200
    assert gw.ask("GET", "/2/x").body == b"x"


def test_cookies(gateway, backend, server):
    """R-5.2: crumbs are joined (RFC 9113 8.2.3), Set-Cookie lines stay apart."""
    set_two = [("set-cookie", "a=1"), ("set-cookie", "b=2, c")]
    gw = site(gateway, backend(lambda x: x.respond(200, [*set_two, ("X-Cookie", " | ".join(x.request.all("Cookie")))])),
              server(lambda x: x.respond(200, [*set_two, ("x-cookie", " | ".join(v for n, v in x.fields if n == "cookie"))])))
    with http2.Client(gw.address) as c:
        for to in "12":
            a = c.ask("GET", f"/{to}/x", [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")])
            assert a.get("x-cookie") == "a=1; b=2; c=3" and a.all("set-cookie") == ["a=1", "b=2, c"]
    assert gw.ask("GET", "/2/x").all("Set-Cookie") == ["a=1", "b=2, c"]


def test_fields(gateway, backend, server):
    """R-5.2: what the next hop is told: host, scheme, forwarding fields, no connection fields; the log tells the version."""
    one, two = backend(), server()
    gw = site(gateway, one, two)
    with http2.Client(gw.address) as c:
        a = {n.lower(): v for n, v in c.ask("GET", "/1/x?q=1", [("x-a", "b"), ("te", "trailers")], authority="shop.example:8080").json()["headers"]}
        assert a["host"] == "shop.example:8080" and a["x-a"] == "b" and a["x-forwarded-for"] == "127.0.0.1"
        a = dict(c.ask("GET", "/2/x?q=1", authority="shop.example").json()["fields"])
        assert a[":authority"] == "shop.example" and a[":path"] == "/2/x?q=1" and a[":scheme"] == "http" and a[":method"] == "GET"
        assert "host" not in a
    with gw.client() as c:
        c.request("PROPFIND", "/2/x", [("Connection", "close, X-Hop"), ("X-Hop", "1"), ("X-UP", "Aa")])
        a = dict(c.response().json()["fields"])
        assert a[":method"] == "PROPFIND" and a["x-up"] == "Aa" and "x-hop" not in a and "connection" not in a
    lines = gw.access_log(3)
    assert [str(line["protocol"]) for line in lines] == ["HTTP/2", "HTTP/2", "HTTP/1.1"] or \
        [str(line["protocol"]) for line in lines] == ["HTTP/2.0", "HTTP/2.0", "HTTP/1.1"], lines[0]


def test_forms_of_http1(gateway, server):
    """R-5.2: HTTP/1.1's forms of targets and its connection fields, as HTTP/2 has them."""
    gw = site(gateway, two=server())
    for head, want in (
            ("GET http://shop.example:81/2/a?b=c HTTP/1.1\r\nHost: shop.example:81", {":authority": "shop.example:81", ":path": "/2/a?b=c"}),
            ("GET /2/a HTTP/1.1\r\nHost: Shop.Example", {":path": "/2/a", ":scheme": "http"}),
            ("GET /2/a HTTP/1.0\r\nHost: a", {":authority": "a"}),
            ("GET /2/a HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers;q=0.5\r\nConnection: TE", {":path": "/2/a"}),
            ("GET /2/a HTTP/1.1\r\nHost: a\r\nUpgrade: TLS/1.3\r\nConnection: upgrade, x-h\r\nX-H: 1", {":path": "/2/a"}),
            ("POST /2/a HTTP/1.1\r\nHost: a\r\nContent-Length: 0", {":method": "POST"}),
            ("GET /2/a HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX_Under: 1", {"x-empty": ""})):
        with gw.client() as c:
            c.send(head + "\r\n\r\n")
            a = c.response()
            assert a.status == 200, (head, a)
            fields = a.json()["fields"]
            got = dict(fields)
            assert want.items() <= got.items(), (head, got)
            assert not set(got) & {"connection", "host", "upgrade", "x-h", "keep-alive", "transfer-encoding"}
            assert got.get("te") in (None, "trailers") and len({n for n, _ in fields if n[0] == ":"}) == 4
    for head in (":path: /x", "X-A: b\r\n c", "X-A : b", "X\x00A: b", "X-A: b\x00c"):
        with gw.client() as c:
            c.send(f"GET /2/a HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n")
            assert c.response().status == 400, head


# --- odd heads ------------------------------------------------------------------------------------
def odd(id, fields, ok=False):
    return pytest.param(fields, ok, id=id)


BASE = {":method": "GET", ":scheme": "http", ":authority": "test.example"}


def pseudo(path="/1/odd", **over):
    """Octets as they are."""
    out = {**BASE, ":path": path, **{":" + k: v for k, v in over.items()}}
    return [(n, v) for n, v in out.items() if v is not None]


def long(n):
    return b"/" + b"x" * (n - 1)


ODD = [
    *[odd(f"path-{o:02x}", pseudo(b"/@/a" + bytes([o]) + b"b")) for o in (0x00, 0x09, 0x0a, 0x0d, 0x20, 0x22, 0x3c, 0x7f, 0x80, 0xff)],
    odd("path-second-request", pseudo(b"/@/ HTTP/1.1\r\nHost: evil\r\n\r\nGET /@/evil")),
    odd("path-fragment", pseudo("/@/a#b")),
    odd("path-absolute", pseudo("http://test.example/@/a")),
    odd("path-authority", pseudo("//evil.example/@/a"), ok=None),
    odd("path-relative", pseudo("@/a")),
    odd("path-query-only", pseudo("?q")),
    odd("path-dots", pseudo("/@/../../etc/passwd")),
    odd("path-dots-coded", pseudo("/@/%2e%2e/%2e%2e/%2e%2e/x")),
    odd("path-nul-coded", pseudo("/@/%00")),
    odd("path-bad-escape", pseudo("/@/%zz")),
    odd("path-query-newline", pseudo(b"/@/a?q=1\nx")),
    odd("method-space", pseudo("/@/a", method="GET /evil HTTP/1.1\r\nX: ")),
    odd("method-lf", pseudo("/@/a", method=b"GE\nT")),
    odd("method-empty", pseudo("/@/a", method="")),
    odd("method-nul", pseudo("/@/a", method=b"GET\0")),
    odd("scheme-crlf", pseudo("/@/a", scheme=b"http\r\nx: y")),
    odd("scheme-other", pseudo("/@/a", scheme="ftp")),
    odd("scheme-empty", pseudo("/@/a", scheme="")),
    odd("authority-crlf", pseudo("/@/a", authority=b"test.example\r\nx: y")),
    odd("authority-space", pseudo("/@/a", authority="test example")),
    odd("authority-userinfo", pseudo("/@/a", authority="user:pw@test.example")),
    odd("authority-path", pseudo("/@/a", authority="test.example/evil")),
    odd("authority-port", pseudo("/@/a", authority="test.example:99999")),
    odd("authority-comma", pseudo("/@/a", authority="a,b")),
    odd("authority-empty", pseudo("/@/a", authority="")),
    odd("host-differs", pseudo("/@/a") + [("host", "other.example")]),
    odd("host-twice", pseudo("/@/a", authority=None) + [("host", "a.example"), ("host", "b.example")]),
    odd("host-default-port", pseudo("/@/a") + [("host", "test.example:80")], ok=None),
    odd("host-case", pseudo("/@/a") + [("host", "TEST.example")], ok=True),
    odd("name-crlf", pseudo("/@/a") + [(b"x\r\ny: z", "1")]),
    odd("name-colon", pseudo("/@/a") + [("x:y", "1")]),
    odd("name-space", pseudo("/@/a") + [("x y", "1")]),
    odd("name-te", pseudo("/@/a") + [("transfer-encoding ", "chunked")]),
    odd("name-nul", pseudo("/@/a") + [(b"x\0", "1")]),
    odd("name-high", pseudo("/@/a") + [(b"x\xe9", "1")]),
    odd("value-crlf", pseudo("/@/a") + [("x", b"1\r\nevil: 1")]),
    odd("value-lf", pseudo("/@/a") + [("x", b"1\nevil: 1")]),
    odd("value-cr", pseudo("/@/a") + [("x", b"1\revil: 1")]),
    odd("value-nul", pseudo("/@/a") + [("x", b"1\0")]),
    odd("value-del", pseudo("/@/a") + [("x", b"1\x7f")]),
    odd("value-high", pseudo("/@/a") + [("x", b"caf\xe9")], ok=True),
    odd("cookie-crlf", pseudo("/@/a") + [("cookie", "a"), ("cookie", b"b\r\nevil: 1")]),
    odd("length-and-none", pseudo("/@/a") + [("content-length", "0")], ok=True),
    odd("length-negative", pseudo("/@/a") + [("content-length", "-1")]),
    odd("length-list", pseudo("/@/a") + [("content-length", "0, 0")]),
    odd("length-huge", pseudo("/@/a") + [("content-length", "99999999999999999999")]),
    odd("expect-other", pseudo("/@/a") + [("expect", "magic")]),
    odd("te-chunked", pseudo("/@/a") + [("te", "trailers, chunked")]),
    odd("http2-settings", pseudo("/@/a") + [("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA")], ok=None),
    odd("long-path", pseudo(b"/@/" + b"x" * 20000)),
    odd("long-value", pseudo("/@/a") + [("x", "y" * 60000)]),
    odd("many-fields", pseudo("/@/a") + [(f"x-{i}", "1") for i in range(2000)]),
    odd("underscore", pseudo("/@/a") + [("x_forwarded_for", "6.6.6.6")], ok=None),
]


@pytest.fixture(scope="module")
def odd_site():
    from gateway import Gateway
    with Backend() as one, http2.Server() as two, \
            Gateway(CONF, one=one.url, two=two.url, settings="", workers=1, route="", certificates="", more="") as gw:
        yield gw, one, two


@pytest.mark.parametrize("to", ["1", "2"])
@pytest.mark.parametrize("fields, ok", ODD)
def test_odd_heads(odd_site, fields, ok, to):
    """R-5.2, R-7.1: heads that could be read in two ways, or as two, are refused, and no upstream sees them."""
    gw, one, two = odd_site
    before = len(one.requests) + len(two.requests)
    put = [(n, (v if isinstance(v, bytes) else v.encode("latin-1")).replace(b"@/", to.encode() + b"/") if n == ":path" else v) for n, v in fields]
    with http2.Client(gw.address) as c:
        c.headers(1, block(put), raw=True)
        c.next = 3
        a = c.take(1)
        if ok:
            assert a.status == 200, a
        elif ok is False:
            assert a.reset == PROTOCOL_ERROR or a.status in (400, 404, 414, 417, 431), a
        assert c.ask("GET", f"/{to}/well").status == 200
    seen = [r.target for r in one.requests] + [r.path for r in two.requests]
    assert len(seen) - before == 1 + (a.status == 200)
    heads = str([r.headers for r in one.requests[-3:]] + [r.fields for r in two.requests[-3:]]).lower()
    assert "evil: 1" not in heads and "'evil'" not in heads and "6.6.6.6" not in heads
    assert not one.errors and not two.errors


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
        total = 0
        while True:
            n = min(16384, c.windows[slow], c.window)
            if n <= 0:
                before = total
                c.synced()
                if min(c.windows[slow], c.window) <= 0 and total == before:
                    time.sleep(0.05)
                    c.synced()
                    if c.windows[slow] <= 0:
                        break
                continue
            c.data(slow, b"x" * n, end=False)
            total += n
        assert total <= 20000 + 65536 + 300000
        for _ in range(20):
            assert c.ask("POST", "/2/quick", body=b"y" * 5000).status == 200
        gate.set()
        c.upload(slow, b"x" * 200000)
        assert int(c.take(slow).body) == total + 200000


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


def test_tls_to_upstream(gateway, server, pki):
    """R-6.1: HTTP/2 to an upstream over TLS is agreed on by ALPN; one that does not agree is 502."""
    from backend import server_tls
    ca = pki.ca()
    leaf = pki.leaf(["127.0.0.1", "localhost"], ca)
    good, bad = server_tls(leaf), server_tls(leaf)
    good.set_alpn_protocols(["h2"])
    s, without = server(tls=good), server(tls=bad)
    conf = """
        services = ( { id = "s"; url = "@good@"; protocol = "http2"; tls = { ca = "@ca@"; }; },
                     { id = "w"; url = "@bad@"; protocol = "http2"; tls = { ca = "@ca@"; }; } );
        routes = ( { id = "a"; path = "/good/*"; service = "s"; }, { id = "b"; path = "/bad/*"; service = "w"; } );"""
    gw = gateway(conf, good=s.url, bad=without.url, ca=ca.bundle)
    with http2.Client(gw.address) as c:
        a = c.ask("POST", "/good/x", body=b"x" * 100000)
        assert a.status == 200 and dict(a.json()["fields"])[":scheme"] == "https"
        assert c.ask("GET", "/bad/x").status == 502
    assert gw.ask("GET", "/good/x").status == 200


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
