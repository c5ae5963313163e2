# SPDX-License-Identifier: Apache-2.0
"""What a worker makes of a TLS connection: who the client is, what is logged, and what holds for it as for any
other. R-2.5 S-SEC-4"""
import re
import signal
import socket
import ssl
import threading

import pytest

from gateway import SLOW, until
from pki import replace
from ports import free_port
from tls import NAME, certificate, client, context, no_clients, peer, site, tls_address
from wire import Client

MTLS = 'client = { mode = "optional"; ca = "%s"; };'
FAILURES = "gateway_tls_handshake_failures_total"
SHOW = """policies = ( { policy = "headers"; request = { set = (
    { name = "X-Client-Cert"; value = "{client_cert.subject}"; },
    { name = "X-Client-Verified"; value = "{client_cert.verified}"; },
    { name = "X-Client-Sum"; value = "{client_cert.fingerprint}"; },
    { name = "X-Tls"; value = "{tls.version} {tls.sni}"; } ); }; } );"""
GUARDED = """{ id = "any"; path = "/any"; service = "s"; policies = ( { policy = "client_certificate"; } ); },
    { id = "sum"; path = "/sum"; service = "s";
      policies = ( { policy = "client_certificate"; fingerprints = "@sum@"; dns = "nobody.example"; } ); },
    { id = "ask"; path = "/ask"; service = "s";
      policies = ( { policy = "client_certificate"; require = false; subjects = "CN=nobody"; } ); }"""


@pytest.fixture
def one(gateway, backend, pki):
    """A factory of sites with one certificate, for a.example."""
    def make(settings="", **kw):
        return site(gateway, kw.pop("origin", None) or backend(), certificate("a", pki.leaf(NAME)), settings, **kw)
    return make


def seen(answer):
    """The fields the service got, lists of values by name in lower case."""
    out = {}
    for name, value in answer.json()["headers"]:
        out.setdefault(name.lower(), []).append(value)
    return out


def failed(gw, reason):
    return gw.metric(FAILURES, reason=reason)


# --- who the client is ----------------------------------------------------------------------------
def test_identity_and_nobody_elses(one, pki):
    """Services are told whom the handshake proved; what a client writes of itself does not get through."""
    ca = pki.ca("people")
    leaf = pki.leaf("ann.people", ca=ca, client=True)
    gw = one(MTLS % ca.cert, route=SHOW)
    forged = {"X-Client-Cert": "CN=root", "x_client_cert": "CN=root", "X-CLIENT-VERIFIED": "true",
              "X-Client-Sum": "00", "X-Tls": "TLSv9"}
    with client(gw, context(pki.ca(), leaf)) as c:
        for _ in range(2):
            got = seen(c.ask("GET", "/", forged, host=NAME))
            assert got["x-client-cert"] == ["CN=ann.people"] and "x_client_cert" not in got
            assert got["x-client-verified"] == ["true"]
            assert got["x-client-sum"] == [leaf.fingerprint]
            assert got["x-tls"] == [f"TLSv1.3 {NAME}"]
    for c in (client(gw, context(pki.ca())), Client(gw.address)):
        with c:
            got = seen(c.ask("GET", "/", forged, host=NAME))
            assert got["x-client-cert"] == [""] and got["x-client-verified"] == [""] and got["x-client-sum"] == [""]
            assert "x_client_cert" not in got
    with Client(gw.address) as c:
        assert seen(c.ask("GET", "/", forged, host=NAME))["x-tls"] == [""]


def test_policy_client_certificate(one, pki):
    """Any value of any list suffices; no certificate, or another, is 403. S-SEC-1"""
    ca = pki.ca("people")
    ann, bob = (pki.leaf(f"{n}.people", ca=ca, client=True) for n in ("ann", "bob"))
    gw = one(MTLS % ca.cert, routes=", " + GUARDED.replace("@sum@", ann.fingerprint.upper()))
    status = {}
    for who, leaf in (("ann", ann), ("bob", bob), ("none", None)):
        with client(gw, context(pki.ca(), leaf)) as c:
            status[who] = [c.ask("GET", path, host=NAME).status for path in ("/", "/any", "/sum", "/ask")]
    with Client(gw.address) as c:
        status["plain"] = [c.ask("GET", path, {"X-Forwarded-Proto": "https"}, host=NAME).status
                           for path in ("/", "/any", "/sum", "/ask")]
    assert status == {"ann": [200, 200, 200, 403], "bob": [200, 200, 403, 403], "none": [200, 403, 403, 200],
                      "plain": [200, 403, 403, 200]}
    lines = gw.access_log(7, lambda a: a.get("reason") == "client_certificate")
    assert all(a["policy"] == "client_certificate" for a in lines)
    assert gw.metric("gateway_errors_total", reason="client_certificate") == 7


def test_access_line(one, pki):
    """Version, cipher, name, resumption and the client's subject; nothing of it for plain connections."""
    ca = pki.ca("people")
    gw = one(MTLS % ca.cert)
    tls = context(pki.ca(), pki.leaf("ann.people", ca=ca, client=True), "1.2")
    with client(gw, tls) as c:
        assert c.ask("GET", "/1", host=NAME).status == 200
        session = c.sock.session
    with client(gw, tls, session=session) as c:
        assert c.sock.session_reused
        assert c.ask("GET", "/2", host=NAME).status == 200
    with Client(gw.address) as c:
        assert c.ask("GET", "/3", host=NAME).status == 200
    lines = {a["path"]: a for a in gw.access_log(3, lambda a: a.get("host") == NAME)}
    for path in ("/1", "/2"):
        assert lines[path]["tls"] == "TLSv1.2" and lines[path]["tls_cipher"].startswith("ECDHE-ECDSA-")
        assert lines[path]["sni"] == NAME and lines[path]["client_cert"] == "CN=ann.people"
        assert lines[path]["scheme"] == "https"
    assert "tls_resumed" not in lines["/1"] and lines["/2"]["tls_resumed"] is True
    assert lines["/3"]["scheme"] == "http"
    assert not {"tls", "tls_cipher", "sni", "tls_resumed", "client_cert"} & set(lines["/3"])
    handshakes = {r: gw.metric("gateway_tls_handshakes_total", resumed=r) for r in ("no", "yes")}
    assert handshakes == {"no": 1, "yes": 1}


def test_trusted_proxies(one, pki):
    """A trusted proxy's X-Forwarded-Proto counts for more than the connection; another's does not."""
    gw = one(more='trusted_proxies = [ "127.0.0.0/8" ];')
    with client(gw, context(pki.ca())) as c:
        for said, want in (({}, "https"), ({"X-Forwarded-Proto": "http"}, "http"),
                           ({"X-Forwarded-Proto": "https"}, "https")):
            got = seen(c.ask("GET", "/", said, host=NAME))
            assert got["x-forwarded-proto"] == [want] and f"proto={want}" in got["forwarded"][-1]
    gw = one()
    with client(gw, context(pki.ca())) as c:
        got = seen(c.ask("GET", "/", {"X-Forwarded-Proto": "http"}, host=NAME))
        assert got["x-forwarded-proto"] == ["https"]


# --- before the handshake -------------------------------------------------------------------------
PROXIED = """listeners = ( { id = "main"; address = "127.0.0.1:@port@"; },
    { id = "tls"; address = "127.0.0.1:@tls@"; tls = { enabled = true; handshake_timeout = "@patience@"; };
      proxy_protocol = { mode = "any"; timeout = "@patience@"; }; } );
    certificates = ( @certificates@ );
    services = ( { id = "s"; url = "@origin@"; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );"""


@pytest.fixture
def proxied(gateway, backend, pki):
    """A site behind a load balancer."""
    return gateway(PROXIED, tls=free_port(), patience=f"{700 * SLOW}ms", origin=backend().url,
                   certificates=certificate("a", pki.leaf(NAME)))


def behind(gw, pki, header, cut=0):
    """A client whose connection begins with this; the last `cut` octets of it come with the hello."""
    tls, incoming, outgoing = context(pki.ca()), ssl.MemoryBIO(), ssl.MemoryBIO()
    sock = socket.create_connection(tls_address(gw), timeout=10 * SLOW)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    session = tls.wrap_bio(incoming, outgoing, server_hostname=NAME)
    sock.sendall(header[:len(header) - cut])
    rest = header[len(header) - cut:]
    while True:
        try:
            session.do_handshake()
            break
        except ssl.SSLWantReadError:
            sock.sendall(rest + outgoing.read())
            rest = b""
            octets = sock.recv(65536)
            assert octets, "closed in the handshake"
            incoming.write(octets)
    session.write(f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
    sock.sendall(outgoing.read())
    text = b""
    while octets := sock.recv(65536):
        incoming.write(octets)
        try:
            while piece := session.read(65536):
                text += piece
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            break
    sock.close()
    return text


@pytest.mark.parametrize("cut", [0, 5, 40])
def test_proxy_header_before_tls(proxied, pki, cut):
    """The header comes first, in the clear, however it and the hello are cut into segments. R-1.1"""
    header = b"PROXY TCP4 192.0.2.7 198.51.100.2 5000 443\r\n"
    answer = behind(proxied, pki, header, cut if cut < 40 else len(header))
    assert answer.startswith(b"HTTP/1.1 200 ") and b"192.0.2.7" in answer
    line = proxied.access_log(1, lambda a: a.get("host") == NAME)[0]
    assert (line["client"], line["peer"], line["tls"]) == ("192.0.2.7", "127.0.0.1", "TLSv1.3")


def test_proxy_header_is_missing(proxied, pki):
    """A hello where the header has to be is no hello: closed, counted as the PROXY protocol's."""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        client(proxied, context(pki.ca()))
    until(lambda: proxied.metric("gateway_errors_total", reason="proxy_header") == 1, 5, "the reason")
    assert proxied.metric("gateway_tls_handshakes_total") == 0
    no_clients(proxied)


@pytest.mark.parametrize("octets", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01", b"GE", b"OPTIONS"])
def test_handshake_timeout(one, octets):
    """Whoever says too little is closed after handshake_timeout, whatever it may have become."""
    gw = one(f'handshake_timeout = "{400 * SLOW}ms";')
    with Client(tls_address(gw), timeout=20 * SLOW) as c:
        c.send(octets)
        assert c.rest() == b""
    assert failed(gw, "timeout") == 1
    assert "not complete in time" in gw.wait_log("TLS handshake of .*").group(0)
    no_clients(gw)


def test_handshake_timeout_behind_a_proxy_header(proxied):
    """The header's time and the handshake's are two."""
    with Client(tls_address(proxied), timeout=20 * SLOW) as c:
        c.send(b"PROXY TCP4 192.0.2.7 198.51.100.2 5000 443\r\n")
        assert c.rest() == b""
    assert failed(proxied, "timeout") == 1
    assert "192.0.2.7" in proxied.wait_log("TLS handshake of .*").group(0)


def test_who_leaves_without_an_octet(one):
    """What checks of ports do all day: neither counted nor said."""
    gw = one()
    for _ in range(20):
        Client(tls_address(gw)).close()
    no_clients(gw)
    assert gw.metric(FAILURES) == 0 and "TLS handshake" not in gw.error_log()


def test_scanners_do_not_fill_the_log(one):
    """All of them are counted, one a second is a line."""
    gw = one(workers=1)
    for i in range(60):
        with Client(tls_address(gw)) as c:
            c.send(b"no hello of anybody" if i % 2 else b"GET /%d HTTP/1.1\r\n\r\n" % i)
            c.rest()
    until(lambda: failed(gw, "protocol") == 60, 10, "60 failures")
    gw.wait_log("TLS handshake of")
    assert gw.error_log().count("TLS handshake of") <= 12 * SLOW
    no_clients(gw)


def test_plain_http_in_pieces(one):
    """Known as what it is however it comes; never routed."""
    gw = one()
    with Client(tls_address(gw)) as c:
        for octet in b"DELETE / HT":
            c.send(bytes([octet]))
        c.send(f"TP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        answer = c.response()
        assert answer.status == 400 and answer.json()["reason"] == "plain_http"
        assert c.closed()
    assert "route" not in gw.access_log(1, lambda a: a.get("reason") == "plain_http")[0]
    assert failed(gw, "protocol") == 1


# --- as any connection ----------------------------------------------------------------------------
def test_lingering_close(one, pki):
    """An answer before the end of its request arrives, and TLS is ended, while the client still sends."""
    gw = one(more='limits = { worker_slots = 8; connections = 1000; map_size = "16M"; };',
             route='policies = ( { policy = "size_limit"; body = "1k"; } );')
    with client(gw, context(pki.ca())) as c:
        c.request("POST", "/", {"Content-Length": "60000"}, host=NAME)
        c.send(bytes(20000))
        assert c.response().status == 413
        try:
            c.send(bytes(20000))
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass
    no_clients(gw)


def test_pipelined_requests(one, pki):
    """Requests in one record are answered in their order, and the next one in another record too."""
    gw = one()
    with client(gw, context(pki.ca())) as c:
        c.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a.example\r\n\r\n" % i for i in range(50)))
        assert [c.response().json()["target"] for _ in range(50)] == [f"/{i}" for i in range(50)]
        assert c.ask("GET", "/last", host=NAME).json()["target"] == "/last"


def test_idle_ones_make_room(one, pki):
    """At the limit of connections the one idle for longest goes, with TLS's own end."""
    gw = one(workers=1, more='limits = { worker_slots = 8; connections = 4; map_size = "16M"; };')
    tls = context(pki.ca())
    held = [client(gw, tls) for _ in range(4)]
    for c in held:
        assert c.ask("GET", "/", host=NAME).status == 200
    with client(gw, tls) as c:
        assert c.ask("GET", "/", host=NAME).status == 200
    assert held[0].sock.recv(1) == b""  # an end that was not said would be SSLEOFError
    for c in held:
        c.close()


def test_drain(gateway, backend, pki):
    """Idle connections are closed, the request under way is answered with Connection: close."""
    go, came = threading.Event(), threading.Event()

    def slow(x):
        if x.request.target == "/slow":
            came.set()
            go.wait(30)
        x.echo()
    gw = site(gateway, backend(slow), certificate("a", pki.leaf(NAME)), workers=1,
              more='shutdown = { min_drain = "50ms"; deadline = "20s"; };')
    with client(gw, context(pki.ca())) as idle, client(gw, context(pki.ca())) as busy:
        assert idle.ask("GET", "/", host=NAME).status == 200
        busy.request("GET", "/slow", host=NAME)
        assert came.wait(10 * SLOW)
        gw.kill(signal.SIGQUIT)
        assert idle.sock.recv(1) == b""
        go.set()
        answer = busy.response()
        assert answer.status == 200 and answer.get("Connection") == "close"
        assert busy.sock.recv(1) == b""
    until(lambda: gw.exit_status() is not None, 20, "the end")


def test_settings_change_under_connections(one, pki):
    """TLS switched off and on: who is connected goes on as it began, plain or not."""
    gw = one()
    port = gw.words["tls"]
    with client(gw, context(pki.ca())) as secure:
        assert secure.ask("GET", "/", host=NAME).status == 200
        text = gw.conf_file.read_text()
        gw.reload(text.replace("enabled = true;", "enabled = false;"))
        with Client((gw.host, port)) as plain:
            assert plain.ask("GET", "/", host=NAME).status == 200
            assert secure.ask("GET", "/", host=NAME).status == 200
            gw.reload(text)
            assert plain.ask("GET", "/", host=NAME).status == 200
            assert secure.ask("GET", "/", host=NAME).status == 200
    with client(gw, context(pki.ca())) as c:
        assert c.ask("GET", "/", host=NAME).status == 200


def test_files_alone_then_another_change(one, pki):
    """Certificates that came into force without a generation are not followed by older ones at the next. R-2.5"""
    gw = one()
    place = pki.dir / "turns"
    place.mkdir(exist_ok=True)
    leaves = [pki.leaf(NAME) for _ in range(4)]

    def put(i):
        replace(place / "key", leaves[i].key)
        replace(place / "chain", leaves[i].chain)

    def shows(i):
        until(lambda: peer(gw) == leaves[i].fingerprint, 20, f"certificate {i}")

    put(0)
    text = gw.conf_file.read_text()
    text = re.sub(r'certificate = "[^"]*"; key = "[^"]*"', f'certificate = "{place}/chain"; key = "{place}/key"', text)
    gw.reload(text)
    shows(0)
    put(1)
    gw.reload()  # nothing but files: no generation
    shows(1)
    put(2)  # noticed by itself
    shows(2)
    gw.reload(text.replace('total = "0"', 'total = "9s"'))
    for _ in range(6):
        assert peer(gw) == leaves[2].fingerprint
    put(3)
    gw.reload(text)
    for _ in range(6):
        assert peer(gw) == leaves[3].fingerprint
