# SPDX-License-Identifier: Apache-2.0
"""TLS towards upstreams: who is believed, as whom the gateway comes, sessions, SPIFFE. S-SEC-4, S-EC-1, R-2.5, E-8"""
import hashlib
import os
import select
import signal
import socket
import ssl
import struct
import threading
import time

import pytest

from backend import server_tls
from gateway import SLOW, until
from pki import replace
from sockets import Sockets
from wire import Client, WireError

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
SITE = """
    workers = 1;
    services = ( { id = "s"; @where@; tls = { @tls@ }; health = { @health@ }; @more@ } );
    routes = ( { id = "all"; path = "/*"; service = "s"; @route@ } );
"""


@pytest.fixture
def site(gateway):
    """A gateway in front of these backends. tls: the service's settings."""
    def make(*origins, tls="", more="", health="passive = false;", route=""):
        where = ", ".join(f'{{ url = "{o if isinstance(o, str) else o.url}"; }}' for o in origins)
        return gateway(SITE, where=f"endpoints = ( {where} )", tls=tls, more=more, health=health, route=route)
    return make


@pytest.fixture
def secure(backend, pki):
    """A backend with a certificate of the root for 127.0.0.1, or whatever `leaf` says."""
    def make(*args, leaf=None, version=None, client_ca=None, **kw):
        leaf = leaf or pki.leaf("127.0.0.1", ca=pki.ca())
        return backend(*args, tls=server_tls(leaf, client_ca, version), **kw)
    return make


def trust(pki):
    return f'ca = "{pki.ca().bundle}";'


def failures(gw, reason):
    return gw.metric("gateway_upstream_tls_failures_total", reason=reason)


def handshakes(gw, resumed):
    return gw.metric("gateway_upstream_tls_handshakes_total", resumed=resumed)


def refused(gw, words, reason):
    """The next request fails for TLS's sake; the log has these words."""
    before = failures(gw, reason)
    answer = gw.ask("GET", "/x")
    assert answer.status == 502
    assert answer.json()["reason"] == "upstream_tls"
    assert failures(gw, reason) == before + 1
    gw.wait_log(rf"service s: endpoint https://\S+: TLS: .*(?i:{words})")
    line = gw.access_log(1, lambda a: a.get("reason") == "upstream_tls")[-1]
    assert line["status"] == 502 and line["endpoint"].startswith("https://")


# --- who is believed ------------------------------------------------------------------------------
@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_verified(site, secure, pki, version):
    """An endpoint with a certificate of the configured authority for its host is spoken to. S-SEC-4"""
    origin = secure(version=version)
    gw = site(origin, tls=trust(pki), more='host = "endpoint";')
    answer = gw.ask("GET", "/a?b=c", {"X-One": "1"})
    assert answer.status == 200
    request = origin.requests[0]
    assert request.target == "/a?b=c"
    assert request.get("Host") == f"127.0.0.1:{origin.port}"
    assert request.get("X-Forwarded-Proto") == "http"  # the client's, not the upstream's
    assert origin.handshakes[0].version == {TLS12: "TLSv1.2", TLS13: "TLSv1.3"}[version]
    assert origin.handshakes[0].sni is None        # an address is no name
    assert handshakes(gw, "no") == 1


def test_intermediates(site, secure, pki):
    """The chain a server sends leads to the root."""
    sub = pki.intermediate("sub", pki.ca())
    gw = site(secure(leaf=pki.leaf("127.0.0.1", ca=sub)), tls=trust(pki))
    assert gw.ask("GET", "/").status == 200


def test_a_name(site, secure, pki):
    """The host of the URL is asked for by SNI and has to be in the certificate."""
    origin = secure(leaf=pki.leaf("localhost", ca=pki.ca()), host="127.0.0.1")
    gw = site(f"https://localhost:{origin.port}", tls=trust(pki), more="retry = { attempts = 3; };")
    assert gw.ask("GET", "/").status == 200
    assert {h.sni for h in origin.handshakes} == {"localhost"}


def test_wrong_host(site, secure, pki):
    """A good certificate for another name is nobody's here. S-SEC-4"""
    origin = secure(leaf=pki.leaf(["other.example", "127.0.0.2"], ca=pki.ca()))
    gw = site(origin, tls=trust(pki))
    refused(gw, "certificate", "certificate")
    assert not origin.requests and not origin.handshakes


def test_unknown_authority(site, secure, pki):
    """Neither an authority nobody configured nor the system's know it."""
    origin = secure()
    gw = site(origin, tls=f'ca = "{pki.ca("stranger").bundle}";')
    refused(gw, "certificate", "certificate")
    gw.reload(SITE, tls="")
    refused(gw, "certificate", "certificate")
    assert not origin.requests


def test_expired(site, secure, pki):
    gw = site(secure(leaf=pki.leaf("127.0.0.1", ca=pki.ca(), days=-1)), tls=trust(pki))
    refused(gw, "expired", "certificate")


def test_revoked(site, secure, pki):
    """A revocation list of the authority is looked at. S-SEC-4"""
    bad, good = (pki.leaf("127.0.0.1", ca=pki.ca()) for _ in range(2))
    crl = pki.crl(pki.ca(), [bad])
    gw = site(secure(leaf=bad), tls=trust(pki) + f'crl = "{crl}";')
    refused(gw, "revoked", "certificate")
    gw.reload(SITE, where=f'url = "{secure(leaf=good).url}"')
    assert gw.ask("GET", "/").status == 200


def test_not_verified(site, secure, pki):
    """verify = false takes anybody; the name is still asked for."""
    origin = secure(leaf=pki.leaf("other.example", ca=pki.ca("stranger"), days=-1))
    gw = site(origin, tls='verify = false; server_name = "a.example";')
    assert gw.ask("GET", "/").status == 200
    assert origin.handshakes[0].sni == "a.example"


def test_server_name(site, secure, pki):
    """server_name is asked for and has to be in the certificate, whatever the URL says."""
    origin = secure(leaf=pki.leaf("*.inner.example", ca=pki.ca()))
    gw = site(origin, tls=trust(pki) + 'server_name = "a.inner.example";')
    assert gw.ask("GET", "/").status == 200
    assert origin.handshakes[0].sni == "a.inner.example"
    # Another name is another connection, though the old one is idle and good.
    gw.reload(SITE, tls=trust(pki) + 'server_name = "a.outer.example";')
    refused(gw, "certificate", "certificate")


def test_min_version(site, secure, pki):
    gw = site(secure(version=TLS12), tls=trust(pki) + 'min_version = "1.3";')
    answer = gw.ask("GET", "/")
    assert (answer.status, answer.json()["reason"]) == (502, "upstream_tls")
    assert failures(gw, "version") + failures(gw, "refused") == 1


def test_no_tls_there(site, backend):
    """A server that speaks HTTP only is never asked in the clear."""
    origin = backend(before=lambda sock: sock.sendall(b"HTTP/1.1 400 What?\r\nContent-Length: 0\r\n\r\n"))
    gw = site(f"https://127.0.0.1:{origin.port}")
    refused(gw, "", "protocol")
    assert not origin.requests


def test_silence(site, backend, secure, pki):
    """timeouts.connect covers TCP and the handshake together; another endpoint may be tried."""
    gate = threading.Event()
    silent = backend(before=lambda sock: gate.wait(20), name="silent")
    try:
        gw = site(f"https://127.0.0.1:{silent.port}", more='timeouts = { connect = "300ms"; };')
        begun = time.monotonic()
        answer = gw.ask("GET", "/")
        assert (answer.status, answer.json()["reason"]) == (504, "connect_timeout")
        assert 0.25 <= time.monotonic() - begun < 5 * SLOW
        assert failures(gw, "timeout") == 1
        both = f'endpoints = ( {{ url = "https://127.0.0.1:{silent.port}"; }}, {{ url = "{secure().url}"; }} )'
        gw.reload(SITE, where=both, tls=trust(pki))
        assert [gw.ask("GET", "/").status for _ in range(2)] == [200, 200]
    finally:
        gate.set()


# --- as whom the gateway comes --------------------------------------------------------------------
@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_client_certificate(site, secure, pki, version):
    """An endpoint that asks for a certificate gets the service's; without one it refuses. S-SEC-4"""
    ours = pki.leaf(subject="/CN=gateway", ca=pki.ca("clients"), client=True)
    origin = secure(client_ca=pki.ca("clients"), version=version)
    gw = site(origin, tls=trust(pki) + f'certificate = "{ours.chain}"; key = "{ours.key}";')
    assert gw.ask("GET", "/").status == 200
    assert origin.handshakes[0].peer == ours.der
    # Of TLS 1.3 the refusal comes when the handshake is over for this side.
    gw.reload(SITE, tls=trust(pki))
    answer = gw.ask("GET", "/")
    assert answer.status == 502
    until(lambda: origin.refusals, 5, "the server's refusal")
    assert len(origin.requests) == 1
    reason = answer.json()["reason"]  # a reset may overtake the alert
    assert reason == "upstream_tls" or (version == TLS13 and reason == "upstream_closed")
    assert failures(gw, "refused") == (reason == "upstream_tls")


# --- connections and sessions ---------------------------------------------------------------------
@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_kept(site, secure, pki, version):
    """One connection serves many requests, those that cannot be sent twice too: tickets that come to an idle
    connection do not end it."""
    origin = secure(version=version)
    gw = site(origin, tls=trust(pki))
    for i in range(10):
        assert gw.ask("GET", "/").status == 200
        assert gw.ask("POST", "/", body=b"x" * i).status == 200
    assert origin.connections == 1
    assert handshakes(gw, "no") == 1
    gw.wait_metric("gateway_upstream_connections_idle", 1)
    assert gw.metric("gateway_upstream_reused_total") == 19


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_resumed(site, secure, pki, version):
    """A new connection resumes the session of one before: the server sees it, and it is counted."""
    origin = secure(version=version)
    gw = site(origin, tls=trust(pki), more="pool = { idle = 0; };")
    for _ in range(4):
        assert gw.ask("GET", "/").status == 200
    assert [h.reused for h in origin.handshakes] == [False, True, True, True]
    assert (handshakes(gw, "no"), handshakes(gw, "yes")) == (1, 3)


def test_no_session_of_another_trust(site, secure, pki):
    """What was verified by other rules is not resumed."""
    origin = secure()
    gw = site(origin, tls="verify = false;", more="pool = { idle = 0; };")
    assert gw.ask("GET", "/").status == 200
    gw.reload(SITE, tls=f'ca = "{pki.ca("stranger").bundle}";')
    refused(gw, "certificate", "certificate")


def test_closed_while_idle(site, secure, pki):
    """A server may end an idle connection in any way: the next request gets a new one."""
    for end in ("close", "cut", "reset"):
        def once(x, end=end):
            x.respond(200, {}, b"ok")
            getattr(x, end)()
        origin = secure(once)
        gw = site(origin, tls=trust(pki))
        for _ in range(5):
            assert gw.ask("GET", "/").body == b"ok"
        assert origin.connections == 5
        gw.close()


def test_restarted(site, secure, pki):
    """A server that has forgotten its sessions is no failure."""
    origin = secure()
    gw = site(origin, tls=trust(pki))
    assert gw.ask("GET", "/").status == 200
    origin.stop()
    origin.tls = server_tls(pki.leaf("127.0.0.1", ca=pki.ca()))
    origin.start()
    assert gw.ask("GET", "/").status == 200
    assert [h.reused for h in origin.handshakes] == [False, False]


def test_successor(site, secure, pki):
    """A worker that takes another's place has what the other had, from its first request on. S-SEC-4"""
    origin = secure()
    gw = site(origin, tls=trust(pki))
    gw.allow_crash = "killed by signal 9"
    assert gw.ask("GET", "/").status == 200
    for _ in range(3):
        old = gw.child("worker")
        os.kill(old, signal.SIGKILL)
        until(lambda old=old: gw.children("worker") and old not in gw.children("worker"), 10, "the successor")
        with Client(gw.address) as c:  # waits in the listener's queue until there is one
            assert c.ask("GET", "/").status == 200
    assert len(origin.handshakes) == 4
    assert gw.metric("gateway_upstream_tls_failures_total") == 0


def test_proxy_header_first(site, secure, pki):
    """The PROXY header goes before TLS, and its octets are part of what a connection is. R-2.5"""
    heads = []

    def before(sock):
        head = b""
        while len(head) < 28:
            head += sock.recv(28 - len(head))
        heads.append(head)
    origin = secure(before=before)
    gw = site(origin, tls=trust(pki), more='proxy_protocol = "v2";')
    for source in ("127.0.0.7", "127.0.0.8"):
        with Client(gw.address, source=(source, 0)) as c:
            assert c.ask("GET", "/").status == 200
            assert c.ask("GET", "/").status == 200
    assert [h[:13] for h in heads] == [b"\r\n\r\n\0\r\nQUIT\n\x21"] * 2
    assert [socket.inet_ntoa(h[16:20]) for h in heads] == ["127.0.0.7", "127.0.0.8"]
    assert struct.unpack("!H", heads[0][26:28]) == struct.unpack("!H", heads[1][26:28]) == (gw.port,)


# --- trying elsewhere -----------------------------------------------------------------------------
def test_next_endpoint(site, secure, pki):
    """A handshake that failed was no connection: any request goes to the next endpoint, and the one that failed is
    taken out."""
    bad = secure(leaf=pki.leaf("other.example", ca=pki.ca()), name="bad")
    good = secure(name="good")
    gw = site(bad, good, tls=trust(pki), health='failures = 3; down = "60s";')
    for _ in range(6):
        assert gw.ask("POST", "/", body=b"once").status == 200
    assert len(good.requests) == 6 and not bad.requests
    gw.wait_log(r"endpoint https://\S+ is down for .*last: upstream_tls")
    assert failures(gw, "certificate") == 3
    assert gw.metric("gateway_service_retries_total", service="s") == 3


def test_http_and_https(site, backend, secure, pki):
    """Endpoints of one service may differ in it."""
    plain, tls = backend(name="plain"), secure(name="tls")
    gw = site(plain, tls, tls=trust(pki))
    for _ in range(4):
        assert gw.ask("GET", "/").status == 200
    assert len(plain.requests) == len(tls.requests) == 2
    assert plain.connections == tls.connections == 1


# --- bodies ---------------------------------------------------------------------------------------
def test_large_bodies(site, secure, pki):
    """Megabytes both ways, with what both sides' sockets do not take at once."""
    body = os.urandom(1 << 20) * 5
    origin = secure(lambda x: x.respond(200, {"X-Sum": hashlib.sha256(x.request.body).hexdigest()}, x.request.body,
                                        chunked=True))
    gw = site(origin, tls=trust(pki))
    for _ in range(2):
        answer = gw.ask("POST", "/", body=body)
        assert answer.get("X-Sum") == hashlib.sha256(body).hexdigest()
        assert answer.body == body
    assert origin.connections == 1


def test_who_does_not_read(site, secure, pki):
    """A side that reads late holds the other up, and gets every octet. E-8"""
    body = os.urandom(1 << 20) * 16
    held, sent = threading.Event(), threading.Event()

    def late(x):
        held.wait(20)
        x.wire.body(x.request)
        x.respond(200, {"X-Sum": hashlib.sha256(x.request.body).hexdigest()}, body)
        sent.set()
    gw = site(secure(late, read_body=False), tls=trust(pki), route='limits = { body = "64M"; };')
    with Client(gw.address) as c:
        sender = threading.Thread(target=c.request, args=("POST", "/"), kwargs={"body": body})
        sender.start()
        sender.join(0.5)
        assert sender.is_alive()  # nobody takes all of it
        held.set()
        sender.join(20 * SLOW)
        assert select.select([c.sock], [], [], 20 * SLOW)[0]
        assert not sent.wait(0.5)  # nor all of the answer
        answer = c.response()
    assert answer.get("X-Sum") == hashlib.sha256(body).hexdigest()
    assert answer.body == body


def test_stream(site, secure, pki):
    """Each event comes when it is sent."""
    go = threading.Semaphore(0)

    def events(x):
        x.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(5):
            go.acquire(timeout=20)
            x.send(b"e\r\ndata: %d\r\n\r\n\r\n" % (1000 + i))
        x.send(b"0\r\n\r\n")
    gw = site(secure(events), tls=trust(pki))
    with Client(gw.address) as c:
        c.request("GET", "/")
        c.head()
        for i in range(5):
            go.release()
            assert c.until(b"\r\n\r\n\r\n") == b"e\r\ndata: %d" % (1000 + i)
        assert c.until(b"\r\n\r\n") == b"0"
    assert gw.access_log(1)[-1]["status"] == 200


def test_body_until_the_end(site, secure, pki):
    """Where the end of the connection ends the body, only TLS's own end (close_notify) does. E-8"""
    def until_end(x):
        x.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        (x.cut if x.request.target == "/cut" else x.close)()
    gw = site(secure(until_end), tls=trust(pki))
    assert gw.ask("GET", "/whole").body == b"all of it"
    with pytest.raises((WireError, ConnectionResetError)):
        gw.ask("GET", "/cut")
    line = gw.access_log(1, lambda a: a.get("path") == "/cut")[0]
    assert line["reason"] == "upstream_aborted"


def test_client_leaves(site, secure, pki):
    """The upstream's connection ends with the client's."""
    asked, gone = threading.Event(), threading.Event()

    def wait(x):
        asked.set()
        try:
            if not x.wire.fill():
                gone.set()
        except OSError:
            gone.set()
    gw = site(secure(wait), tls=trust(pki))
    with Client(gw.address) as c:
        c.request("GET", "/")
        assert asked.wait(10)
    assert gone.wait(10)
    assert gw.access_log(1)[-1]["reason"] == "client_gone"


def test_websocket(site, pki):
    """WebSockets pass over TLS: both ways, large ones, and their end. R-7.1, R-7.3"""
    with Sockets() as ws:
        leaf = pki.leaf("127.0.0.1", ca=pki.ca())
        server = ws.serve(ssl=server_tls(leaf), max_size=None)
        gw = site(server.url.replace("http:", "https:"), tls=trust(pki), route="websocket = { enabled = true; };")
        c = ws.connect(gw.url, max_size=None)
        for message in ("text", b"\0\1", "", os.urandom(600000)):
            assert c.ask(message) == message
        c.ping()
        c.close(1000)
        line = gw.access_log(1, lambda a: a.get("protocol") == "websocket")[0]
        assert line["status"] == 101
        assert gw.metric("gateway_route_websocket_closes_total", code="1000") == 1


# --- SPIFFE ---------------------------------------------------------------------------------------
DOMAIN = 'spiffe = { trust_domain = "d.example"; %s };'


@pytest.fixture
def svid(pki):
    """An SVID of this id by the domain's root."""
    return lambda spiffe: pki.leaf(spiffe=spiffe, ca=pki.ca("d.example"))


def domain(pki, ids=""):
    return f'ca = "{pki.ca("d.example").bundle}";' + DOMAIN % ids


def test_spiffe(site, secure, pki, svid):
    """Endpoints known by trust domain and id, whatever their host. S-EC-1"""
    origin = secure(leaf=svid("spiffe://d.example/orders"))
    gw = site(origin, tls=domain(pki))
    assert gw.ask("GET", "/").status == 200
    for ids in ('ids = [ "spiffe://d.example/orders" ];', 'ids = [ "spiffe://d.example/x", "spiffe://d.example/*" ];'):
        gw.reload(SITE, tls=domain(pki, ids))
        assert gw.ask("GET", "/").status == 200
    gw.reload(SITE, tls=domain(pki, 'ids = [ "spiffe://d.example/order", "spiffe://d.example/orders/*" ];'))
    refused(gw, "spiffe", "certificate")


def test_spiffe_wrong_domain(site, secure, pki, svid):
    """An id of another domain is refused, though the authority is trusted. S-EC-1"""
    gw = site(secure(leaf=svid("spiffe://e.example/orders")), tls=domain(pki))
    refused(gw, "domain", "certificate")


def test_spiffe_other_root(site, secure, pki):
    leaf = pki.leaf(spiffe="spiffe://d.example/orders", ca=pki.ca("stranger"))
    gw = site(secure(leaf=leaf), tls=domain(pki))
    refused(gw, "certificate", "certificate")


def test_no_svid(site, secure, pki):
    """A certificate for a host name is none."""
    gw = site(secure(leaf=pki.leaf("127.0.0.1", ca=pki.ca("d.example"))), tls=domain(pki))
    refused(gw, "spiffe", "certificate")


def test_svid_rotated(site, secure, pki, svid, tmp_path):
    """The gateway's own SVID is replaced in its files: new connections show the new one, with no reload; the idle
    ones that showed the old serve nobody. S-EC-1"""
    first, second = (pki.leaf(spiffe="spiffe://d.example/gateway", ca=pki.ca("d.example")) for _ in range(2))
    chain, key = tmp_path / "svid.pem", tmp_path / "svid.key"
    chain.write_bytes(first.chain.read_bytes())
    key.write_bytes(first.key.read_bytes())
    origin = secure(leaf=svid("spiffe://d.example/orders"), client_ca=pki.ca("d.example"))
    gw = site(origin, tls=domain(pki) + f'certificate = "{chain}"; key = "{key}";')
    for _ in range(3):
        assert gw.ask("GET", "/").status == 200
    assert [h.peer for h in origin.handshakes] == [first.der]
    replace(key, second.key)
    replace(chain, second.chain)

    def shown():
        assert gw.ask("GET", "/").status == 200
        return origin.handshakes[-1].peer == second.der
    until(shown, 20, "the new certificate", step=0.1)
    assert len(origin.handshakes) == 2
    assert not origin.handshakes[-1].reused
    gw.wait_metric("gateway_upstream_connections_idle", 1)


def test_svid_rotated_under_load(site, secure, pki, svid, tmp_path):
    """No request fails for it, those that cannot be repeated neither. S-EC-1"""
    svids = [pki.leaf(spiffe="spiffe://d.example/gateway", ca=pki.ca("d.example")) for _ in range(3)]
    key, chain = tmp_path / "svid.key", tmp_path / "svid.pem"
    key.write_bytes(svids[0].key.read_bytes())
    chain.write_bytes(svids[0].chain.read_bytes())
    origin = secure(leaf=svid("spiffe://d.example/orders"), client_ca=pki.ca("d.example"))
    gw = site(origin, tls=domain(pki) + f'certificate = "{chain}"; key = "{key}";', more="pool = { requests = 20; };")
    over, seen = threading.Event(), []

    def load():
        with Client(gw.address) as c:
            while not over.is_set():
                seen.append(c.ask("GET", "/").status)
                seen.append(c.ask("POST", "/", body=b"once").status)
    threads = [threading.Thread(target=load) for _ in range(4)]
    for t in threads:
        t.start()
    try:
        for new in svids:
            replace(key, new.key)
            replace(chain, new.chain)
            until(lambda new=new: new.der in [h.peer for h in origin.handshakes], 20, "the new certificate", step=0.05)
    finally:
        over.set()
        for t in threads:
            t.join()
    assert set(seen) == {200}
    assert {h.peer for h in origin.handshakes} == {s.der for s in svids}
    assert gw.metric("gateway_upstream_tls_failures_total") == 0


def test_trust_rotated(site, secure, pki, svid, tmp_path):
    """Nor is there a reload for what is trusted. S-EC-1"""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(pki.ca("stranger").cert.read_bytes())
    origin = secure(leaf=svid("spiffe://d.example/orders"))
    gw = site(origin, tls=f'ca = "{ca}";' + DOMAIN % "")
    refused(gw, "certificate", "certificate")
    replace(ca, pki.ca("d.example").cert)
    until(lambda: gw.ask("GET", "/").status == 200, 20, "the new trust", step=0.1)
