# SPDX-License-Identifier: Apache-2.0
"""Bytes no decent peer sends. From clients: the right refusal, a closed connection, and a service that sees
none of it. From services: 502, or a response the client can't take for whole, and a connection that is not
used again. G-FR-007, G-SC-008 (nothing crashes: the fixtures look).
"""
import re
import socket

import pytest

from backend import Backend
from gateway import Gateway, until
from wire import Client, WireError, raw

HOST = b"Host: a.example\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
SITE = """
    workers = 2;
    services = ( { id = "s"; url = "@origin@"; retry = { attempts = 1; }; health = { passive = false; }; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; },
               { id = "own"; host = "own.example"; path = "/*"; service = "s"; } );
    listeners = ( { id = "main"; address = "127.0.0.1:@port@";
                    limits = { request_line = "1k"; headers = "4k"; header_count = 20; body = "64k"; }; } );
"""


def get(rest, target=b"/x", version=b"HTTP/1.1", host=HOST):
    return b"GET " + target + b" " + version + b"\r\n" + host + rest + b"\r\n" + NEXT


def post(rest, body=b"", version=b"HTTP/1.1"):
    return b"POST /x " + version + b"\r\n" + HOST + rest + b"\r\n" + body + NEXT


def chunked(body):
    return post(b"Transfer-Encoding: chunked\r\n", body)


# What is sent, and the status of the answer. Each is followed by a request that must never be seen.
REQUESTS = {
    # names and lines of the head
    "space before colon": (post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"), 400),
    "tab before colon": (post(b"Content-Length\t: 3\r\n", b"abc"), 400),
    "space in name": (get(b"X Y: z\r\n"), 400),
    "leading space": (b"POST /x HTTP/1.1\r\n Content-Length: 3\r\n" + HOST + b"\r\nabc" + NEXT, 400),
    "leading tab": (b"POST /x HTTP/1.1\r\n\tContent-Length: 3\r\n" + HOST + b"\r\nabc" + NEXT, 400),
    "no name": (get(b": value\r\n"), 400),
    "no colon": (get(b"Content-Length\r\n"), 400),
    "name beyond ascii": (get(b"X-\xc3\xa4: z\r\n"), 400),
    "nul in name": (get(b"X\0Y: z\r\n"), 400),
    "nul in value": (get(b"X: a\0b\r\n"), 400),
    "control octet in value": (get(b"X: a\x0bb\r\n"), 400),
    "delete in value": (get(b"X: a\x7fb\r\n"), 400),
    "lone CR makes a field": (post(b"X: \rxTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
    "lone CR in value": (get(b"X: a\rb\r\n"), 400),
    "bare LF everywhere": (b"GET /x HTTP/1.1\nHost: a.example\n\n" + NEXT, 400),
    "bare LF after a field": (get(b"X: y\nContent-Length: 3\r\n"), 400),
    "bare LF ends the head": (b"GET /x HTTP/1.1\r\nHost: a.example\r\n\n" + NEXT, 400),
    "CRLF CR other": (b"GET /x HTTP/1.1\r\n" + HOST + b"\rX" + NEXT, 400),
    "fold": (get(b"X: a\r\n b\r\n"), 400),
    "folded Transfer-Encoding": (post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"), 400),
    # framing
    "length and chunked": (post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
    "chunked and length": (post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"), 400),
    "two lengths": (post(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abc"), 400),
    "two equal lengths": (post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"), 400),
    "list of lengths": (post(b"Content-Length: 3, 3\r\n", b"abc"), 400),
    "plus sign": (post(b"Content-Length: +3\r\n", b"abc"), 400),
    "minus sign": (post(b"Content-Length: -3\r\n", b"abc"), 400),
    "hex length": (post(b"Content-Length: 0x3\r\n", b"abc"), 400),
    "fraction": (post(b"Content-Length: 3.0\r\n", b"abc"), 400),
    "empty length": (post(b"Content-Length:\r\n", b"abc"), 400),
    "length with a space": (post(b"Content-Length: 1 0\r\n", b"abc"), 400),
    "length overflows": (post(b"Content-Length: 18446744073709551619\r\n", b"abc"), 400),
    "length 2^63": (post(b"Content-Length: 9223372036854775808\r\n", b"abc"), 400),
    "unknown coding": (post(b"Transfer-Encoding: gzip\r\n", b"abc"), 501),
    "coding then chunked": (post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 501),
    "x before chunked": (post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 501),
    "identity": (post(b"Transfer-Encoding: identity\r\n", b"abc"), 501),
    "chunked not last": (post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"), 400),
    "chunked twice": (post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"), 400),
    "lines identity, chunked": (post(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
                                     b"0\r\n\r\n"), 400),
    "lines chunked, identity": (post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                                     b"0\r\n\r\n"), 400),
    "lines chunked, chunked": (post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                                    b"0\r\n\r\n"), 400),
    "quoted chunked": (post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"), 400),
    "chunked with a parameter": (post(b"Transfer-Encoding: chunked;q=1\r\n", b"0\r\n\r\n"), 400),
    "chunked with a control octet": (post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), 400),
    "empty coding": (post(b"Transfer-Encoding:\r\n", b"0\r\n\r\n"), 400),
    "chunked on 1.0": (post(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"HTTP/1.0"), 400),
    # chunks
    "extension ended by LF": (chunked(b"3;a\nabc\r\n0\r\n\r\n"), 400),
    "size ended by LF": (chunked(b"3\nabc\r\n0\r\n\r\n"), 400),
    "size, CR, other": (chunked(b"3\rXabc\r\n0\r\n\r\n"), 400),
    "data without CRLF": (chunked(b"3\r\nabcXY0\r\n\r\n"), 400),
    "data with LF alone": (chunked(b"3\r\nabc\n0\r\n\r\n"), 400),
    "empty size": (chunked(b"\r\nabc\r\n0\r\n\r\n"), 400),
    "negative size": (chunked(b"-3\r\nabc\r\n0\r\n\r\n"), 400),
    "0x size": (chunked(b"0x3\r\nabc\r\n0\r\n\r\n"), 400),
    "space before extension": (chunked(b"3 ;a\r\nabc\r\n0\r\n\r\n"), 400),
    "size overflows": (chunked(b"ffffffffffffffff3\r\nabc\r\n0\r\n\r\n"), 400),
    "extension with a CR": (chunked(b"3;a\rb\r\nabc\r\n0\r\n\r\n"), 400),
    "extensions in masses": (chunked(b"".join(b"1;%b\r\nx\r\n" % (b"e" * 800) for _ in range(3))
                                     + b"0\r\n\r\n"), 400),
    "zeros in masses": (chunked(b"0" * 3000 + b"1\r\nx\r\n0\r\n\r\n"), 400),
    "bad trailer": (chunked(b"1\r\nx\r\n0\r\nno colon\r\n\r\n"), 400),
    "trailer line ends in LF": (chunked(b"1\r\nx\r\n0\r\nX-T: 1\n\r\n"), 400),
    "trailers in masses": (chunked(b"1\r\nx\r\n0\r\n" + b"X-T: 1\r\n" * 2000 + b"\r\n"), 400),
    # the request line
    "tab in target": (get(b"", b"/a\tb"), 400),
    "octet beyond ascii in target": (get(b"", b"/a\xffb"), 400),
    "nul in target": (get(b"", b"/a\0b"), 400),
    "fragment": (get(b"", b"/a#frag"), 400),
    "spaces in a row": (b"GET  /x HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, 400),
    "space after version": (b"GET /x HTTP/1.1 \r\n" + HOST + b"\r\n" + NEXT, 400),
    "leading space of the line": (b" GET /x HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, 400),
    "no version": (b"GET /x\r\n" + HOST + b"\r\n" + NEXT, 400),
    "HTTP/0.9": (get(b"", version=b"HTTP/0.9"), 505),
    "HTTP/1.2": (get(b"", version=b"HTTP/1.2"), 505),
    "HTTP/2.0": (get(b"", version=b"HTTP/2.0"), 505),
    "h2 preface, nearly": (b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n", 505),
    "version in lower case": (get(b"", version=b"http/1.1"), 400),
    "version HTTP/1.10": (get(b"", version=b"HTTP/1.10"), 400),
    "method with a comma": (b"GE,T /x HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, 400),
    "no method": (b"/x HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, 400),
    "star with GET": (get(b"", b"*"), 400),
    "relative target": (get(b"", b"x/y"), 400),
    "another scheme": (get(b"", b"ftp://a.example/x"), 400),
    "bad escape": (get(b"", b"/a%zz"), 400),
    "escaped nul": (get(b"", b"/a%00b"), 400),
    "above the root": (get(b"", b"/../../etc/passwd"), 400),
    "above the root, escaped": (get(b"", b"/%2e%2e/%2e%2e/etc/passwd"), 400),
    "dots behind an escaped slash": (get(b"", b"/a/..%2fb"), 400),
    "CONNECT": (b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n" + NEXT, 501),
    "TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
    "zeros": (bytes(100), 400),
    # Host
    "no Host": (get(b"", host=b""), 400),
    "two Hosts": (get(b"Host: a.example\r\n"), 400),
    "two different Hosts": (get(b"Host: b.example\r\n"), 400),
    "empty Host": (get(b"", host=b"Host:\r\n"), 400),
    "path in Host": (get(b"", host=b"Host: a.example/x\r\n"), 400),
    "user in Host": (get(b"", host=b"Host: user@a.example\r\n"), 400),
    "list in Host": (get(b"", host=b"Host: a.example, b.example\r\n"), 400),
    "port out of range": (get(b"", host=b"Host: a.example:99999\r\n"), 400),
    "absolute-form and another Host": (get(b"", b"http://b.example/x"), 400),
    "absolute-form with a user": (get(b"", b"http://user@a.example/x"), 400),
    "absolute-form without host": (get(b"", b"http:///x"), 400),
    # names that must not be wished away
    "Connection names Host": (get(b"Connection: host\r\n"), 400),
    "Connection names Content-Length": (post(b"Connection: content-length\r\nContent-Length: 3\r\n", b"abc"), 400),
    "Connection names Authorization": (get(b"Authorization: x\r\nConnection: close, authorization\r\n"), 400),
    # too much
    "long line": (get(b"", b"/" + b"a" * 1500), 414),
    "long head": (get(b"".join(b"X-%d: %b\r\n" % (i, b"v" * 900) for i in range(8))), 431),
    "endless field": (get(b"X: " + b"v" * 8000 + b"\r\n"), 431),
    "many fields": (get(b"X: y\r\n" * 30), 431),
    "body over the limit": (post(b"Content-Length: 70000\r\n", b"x" * 70000), 413),
    "unknown expectation": (post(b"Expect: 200-ok\r\nContent-Length: 3\r\n", b"abc"), 417),
}


@pytest.fixture(scope="module")
def site():
    with Backend() as b, Gateway(SITE, origin=b.url) as gw:
        yield gw, b


def probed(gw, b, before):
    """What the service has seen since, a last request of ours not counted."""
    assert gw.ask("GET", "/probe").status == 200
    seen = [r.target for r in b.requests[before:]]
    assert seen[-1] == "/probe"
    # A request that went bad in its body was cut off there too, and never malformed.
    assert [e for e in b.errors if not e.startswith("closed")] == []
    return seen[:-1]


def refused(answer, status):
    """Exactly one answer, a problem body, and no promise of more."""
    statuses = re.findall(rb"(?m)^HTTP/1\.1 (\d+) ", answer)
    assert statuses == [b"%d" % status], answer[:600]
    head, body = answer.split(b"\r\n\r\n", 1)
    assert re.search(rb"(?im)^connection: close\r?$", head + b"\r\n")
    assert b"application/problem+json" in head
    assert b'"status"' in body and str(status).encode() in body


@pytest.mark.parametrize("name", REQUESTS)
def test_request(site, name):
    """Refused with its status, closed, and nothing of it at the service. G-FR-007"""
    gw, b = site
    data, status = REQUESTS[name]
    before = len(b.requests)
    refused(raw(gw.address, data), status)
    assert probed(gw, b, before) == []


@pytest.mark.parametrize("name", REQUESTS)
def test_request_on_a_used_connection(site, name):
    """The same behind a good request in one packet: that one is answered, nothing after the bad one is."""
    gw, b = site
    data, status = REQUESTS[name]
    before = len(b.requests)
    with gw.client() as c:
        c.send(b"GET /good HTTP/1.1\r\n" + HOST + b"\r\n" + data)
        assert c.response().status == 200
        refused(c.rest(), status)
    assert probed(gw, b, before) == ["/good"]


@pytest.mark.parametrize("name", ["space before colon", "fold", "length and chunked", "extension ended by LF",
                                  "long line", "bad trailer"])
def test_request_octet_by_octet(site, name):
    """How the octets are cut into packets makes no difference."""
    gw, b = site
    data, status = REQUESTS[name]
    before = len(b.requests)
    with gw.client() as c:
        try:
            for i in range(0, len(data)):
                c.send(data[i:i + 1])
        except OSError:
            pass  # it was closed on us, as it should be
        refused(c.rest(), status)
    assert probed(gw, b, before) == []


def test_nothing_is_read_behind_close(site):
    """What follows a request that said close is no request."""
    gw, b = site
    before = len(b.requests)
    answer = raw(gw.address, b"GET /last HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n" + NEXT)
    assert answer.count(b"HTTP/1.1 200") == 1 and b"smuggled" not in answer
    assert probed(gw, b, before) == ["/last"]


def test_trailers_are_never_fields(site):
    """Trailers that name framing, host or credentials change nothing and go nowhere."""
    gw, b = site
    before = len(b.requests)
    with gw.client() as c:
        c.send(b"POST /t HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTE: trailers\r\n\r\n"
               b"3\r\nabc\r\n0\r\nContent-Length: 9\r\nHost: evil.example\r\nTransfer-Encoding: gzip\r\n"
               b"Authorization: x\r\nX-Forwarded-For: 9.9.9.9\r\nX-Sum: 7\r\n\r\n")
        assert c.response().status == 200
    assert probed(gw, b, before) == ["/t"]
    seen = b.requests[before]
    assert seen.body == b"abc"
    assert seen.all("Host") == ["a.example"] and seen.get("Content-Length") is None
    assert seen.get("Authorization") is None and "9.9.9.9" not in (seen.get("X-Forwarded-For") or "")
    assert {n.lower() for n, _ in seen.trailers} <= {"x-sum"}


def test_absolute_form_decides(site):
    """The authority of the target is the host that is routed by and sent on."""
    gw, b = site
    before = len(b.requests)
    with gw.client() as c:
        c.send(b"GET http://own.example/p HTTP/1.1\r\nHost: own.example\r\n\r\n")
        assert c.response().status == 200
    line = gw.access_log(1, lambda a: a.get("route") == "own")[0]
    assert line["status"] == 200
    assert probed(gw, b, before) == ["/p"]
    assert b.requests[before].all("Host") == ["own.example"]


def test_half_a_request_then_gone(site):
    """Clients that end anywhere in a request cost nothing and reach nobody."""
    gw, b = site
    whole = b"POST /half HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\n0123456789"
    before = len(b.requests)
    for cut in range(1, len(whole), 3):
        with gw.client() as c:
            c.send(whole[:cut])
            c.sock.shutdown(socket.SHUT_WR)
            answer = c.rest()
            assert not answer or b" 400 " in answer.split(b"\r\n")[0], answer
    assert probed(gw, b, before) == []


def test_no_octet_crashes(site):
    """Every single octet at the start, in a name, a value and the target: answered or closed, never worse."""
    gw, _ = site
    workers = set(gw.children("worker"))
    for octet in range(256):
        o = bytes([octet])
        for data in (o + get(b""), get(b"X" + o + b"Y: z\r\n"), get(b"X: " + o + b"\r\n"), get(b"", b"/" + o)):
            with gw.client() as c:
                c.send(data)
                c.sock.shutdown(socket.SHUT_WR)
                c.rest()
    assert set(gw.children("worker")) == workers


# --- services --------------------------------------------------------------------------------------------
OK = b"HTTP/1.1 200 OK\r\n"

# An answer that is none: the client gets 502.
RESPONSES = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "ICY": b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status 99": b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n",
    "status 2000": b"HTTP/1.1 2000 Long\r\nContent-Length: 0\r\n\r\n",
    "status 20": b"HTTP/1.1 20 Short\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
    "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "lone CR": OK + b"X: a\rContent-Length: 0\r\n\r\n",
    "nul": OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "space before colon": OK + b"Content-Length : 0\r\n\r\n",
    "fold": OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "length and chunked": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "list of lengths": OK + b"Content-Length: 2, 2\r\n\r\nab",
    "negative length": OK + b"Content-Length: -1\r\n\r\n",
    "length overflows": OK + b"Content-Length: 99999999999999999999\r\n\r\n",
    "unknown coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "codings twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked on 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "head without end": OK + b"X: " + b"v" * 300000,
    "interim without end": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 200,
    "closes at once": b"",
    "closes in the head": OK + b"Content-Len",
}

# A body that ends badly: what came before is passed on, the end is not.
BROKEN = {
    "short of its length": OK + b"Content-Length: 10\r\n\r\nabc",
    "no last chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "bad chunk size": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n0\r\n\r\n",
    "chunk without CRLF": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n",
    "chunk size ends in LF": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\n\n",
}

# A right answer with more behind it: the answer counts, the connection does not.
POISONED = {
    "a second response": (OK + b"Content-Length: 2\r\n\r\nok" + OK + b"Content-Length: 6\r\n\r\npoison", b"ok"),
    "more than the length": (OK + b"Content-Length: 2\r\n\r\nok and more", b"ok"),
    "more behind the last chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nmore", b"ok"),
    "a body for 204": (b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody", b""),
    "a body for 304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nbody", b""),
}


def speak(x):
    """Says what the target names; the handler of every test below."""
    table, _, name = x.request.target[1:].partition("/")
    said = {"r": RESPONSES, "b": BROKEN, "p": POISONED}.get(table)
    if not said:
        x.respond(200, {}, x.request.target.encode())
        return
    data = said[name.replace("%20", " ")]
    x.send(data if isinstance(data, bytes) else data[0])
    if "closes" in name or table == "b" or name == "interim%20without%20end":
        x.close()


@pytest.fixture(scope="module")
def bad_service():
    with Backend(speak) as b, Gateway(SITE.replace("workers = 2", "workers = 1"), origin=b.url) as gw:
        yield gw, b


def fresh(gw, b, connections):
    """The next request gets its own answer, by a connection opened for it."""
    answer = gw.ask("GET", "/after")
    assert (answer.status, answer.body) == (200, b"/after")
    assert b.connections == connections + 1


def quoted(table, name):
    return f"/{table}/{name.replace(' ', '%20')}"


def spent(b):
    """No connection to the service is open."""
    return until(lambda: b.open == 0, 5, "the upstream connection to be closed")


def forget(gw, b):
    """Starts each case without a pooled connection."""
    gw.ask("GET", "/x", {"X-Close": "1"})
    with b.lock:
        socks = list(b._socks)
    for s in socks:
        s.shutdown(socket.SHUT_RDWR)
    spent(b)


@pytest.mark.parametrize("name", RESPONSES)
def test_response_is_502(bad_service, name):
    """What is no answer is 502 with a problem body, and the connection is gone. G-FR-007, G-SC-008"""
    gw, b = bad_service
    forget(gw, b)
    answer = gw.ask("GET", quoted("r", name))
    assert answer.status == 502, answer
    assert answer.get("Content-Type") == "application/problem+json"
    spent(b)
    fresh(gw, b, b.connections)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_body_is_no_clean_end(bad_service, name):
    """The client can tell that the body is not whole. G-FR-004"""
    gw, b = bad_service
    forget(gw, b)
    with pytest.raises((WireError, OSError)):
        gw.ask("GET", quoted("b", name))
    spent(b)
    fresh(gw, b, b.connections)


@pytest.mark.parametrize("name", POISONED)
def test_response_queue_is_not_poisoned(bad_service, name):
    """The right answer to the first; the second never sees what was behind it."""
    gw, b = bad_service
    forget(gw, b)
    answer = gw.ask("GET", quoted("p", name))
    assert answer.body == POISONED[name][1]
    spent(b)
    fresh(gw, b, b.connections)


def test_late_poison(backend, gateway):
    """Octets on an idle pooled connection close it, before any request meets them."""
    import threading
    go = threading.Event()

    def late(x):
        x.respond(200, {}, x.request.target.encode())
        if x.request.target == "/first":
            go.wait(10)
            x.send(OK + b"Content-Length: 6\r\n\r\npoison")

    b = backend(late)
    gw = gateway(SITE.replace("workers = 2", "workers = 1"), origin=b.url)
    assert gw.ask("GET", "/first").body == b"/first"
    until(lambda: gw.metric("gateway_upstream_connections_idle") == 1, 5, "the pooled connection")
    go.set()
    spent(b)
    fresh(gw, b, b.connections)


def test_head_response_with_a_body(backend, gateway):
    """An answer to HEAD ends with its head; a body behind it belongs to nobody."""
    def handler(x):
        if x.request.method == "HEAD":
            x.send(OK + b"Content-Length: 4\r\n\r\nbody")
        else:
            x.respond(200, {}, b"own")

    b = backend(handler)
    gw = gateway(SITE.replace("workers = 2", "workers = 1"), origin=b.url)
    with gw.client() as c:
        head = c.ask("HEAD", "/h")
        assert head.status == 200 and head.get("Content-Length") == "4"
        spent(b)
        assert c.ask("GET", "/g").body == b"own"


def test_interim_responses_are_skipped(backend, gateway):
    """Up to a bound they are read over; the final answer is the one that counts."""
    b = backend(lambda x: x.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + OK + b"Content-Length: 2\r\n\r\nok"))
    gw = gateway(SITE, origin=b.url)
    with Client(gw.address) as c:
        assert c.ask("GET", "/").body == b"ok"
        assert c.ask("GET", "/").body == b"ok"
