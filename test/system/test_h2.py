# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 with clients and upstreams: every way in, switches, translation both ways (R-1.1, R-5.1, R-5.2, R-6.1,
R-7.1). Flow control and ends: test_h2_flow.py; RFC 9113's rules one by one: test_h2_rfc.py; limits: test_h2_limits.py;
the kit: lib/http2.py.
"""
import re
import subprocess
import threading

import pytest

import http2
from backend import Backend, reply
from gateway import SLOW, Gateway, until
from h2_site import CONF, noise, site, stream_echo, stream_echo2
from http2 import DATA, PROTOCOL_ERROR, Session, block
from tls import context
from wire import Client as Client1


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


def upgraded(gw, fields, target="/1/x"):
    """What the request comes to: (status, body) over HTTP/1.1, or ("h2", status, body) on stream 1."""
    with Client1(gw.address) as c:
        c.request("GET", target, fields)
        head = c.head()
        if head.status != 101:
            return head.status
        assert head.get("Upgrade") == "h2c"
        h = http2.Conn(c.sock)
        h.buf = c.buf
        h.send(http2.PREFACE + http2.settings_octets())
        return "h2", h.take(1).status


@pytest.mark.parametrize("connection, upgrade, want", [
    ("Upgrade, HTTP2-Settings", "h2c", ("h2", 200)),
    ("HTTP2-Settings, Upgrade", "websocket, h2c", ("h2", 200)),
    ("Upgrade, HTTP2-Settings", "h2c, websocket", ("h2", 200)),
    ("Upgrade, http2-settings", "h2c", ("h2", 200)),
    ("Upgrade", "h2c", 200)], ids=["plain", "other-first", "other-last", "lower-case", "not-named"])
def test_upgrade_asks(gateway, backend, connection, upgrade, want):
    """R-5.1: HTTP2-Settings is for this connection, which Connection has to say (RFC 7540 3.2.1); what else the client
    could speak is nothing to the request any more."""
    b = backend()
    gw = site(gateway, b)
    assert upgraded(gw, [("Connection", connection), ("Upgrade", upgrade), UPGRADE[2]]) == want
    (r,) = b.requests
    assert want == 200 or not {n.lower() for n, _ in r.headers} & {"upgrade", "http2-settings"}


def test_upgrade_with_a_websocket_on_offer(gateway, backend):
    """R-5.1: a request that would be a WebSocket's handshake as well is a plain one, once HTTP/2 is agreed on."""
    b = backend()
    gw = site(gateway, b, route="websocket = { enabled = true; };")
    more = [("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
    assert upgraded(gw, [UPGRADE[0], ("Upgrade", "h2c, websocket"), UPGRADE[2], *more]) == ("h2", 200)
    assert not b.requests[0].get("Upgrade")


def test_upgrade_through_a_trusted_proxy(gateway, backend):
    """R-5.1, S-SEC-1: a proxy that passes Upgrade on unseen would give its name to all that came after: none is taken."""
    gw = gateway('trusted_proxies = [ "127.0.0.0/8" ];' + CONF, one=backend().url,
                 two="http://127.0.0.1:1", settings="", workers=1, route="", certificates="", more="")
    assert upgraded(gw, UPGRADE) == 200
    assert upgraded(gw, [*UPGRADE, ("X-Forwarded-For", "192.0.2.1")]) == 200
    with http2.Client(gw.address) as c:  # who says HTTP/2 from the beginning means it
        assert c.ask("GET", "/1/x").status == 200


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
