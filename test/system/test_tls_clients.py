# SPDX-License-Identifier: Apache-2.0
"""TLS at the listener, seen by clients that are not ours: curl, openssl's s_client, Python's ssl. S-SEC-4 R-7.3"""
import hashlib
import json
import os
import signal
import subprocess
import time

import pytest

from gateway import SLOW, until
from pki import replace
from ports import free_port
from tls import (NAME, SITE, certificate, change, client, context, no_clients, peer, s_client, site, tls_address,
                 tls_url, worker_of)
from wire import ask

both = pytest.mark.parametrize("version", ["1.2", "1.3"])
FLAG = {"1.2": "-tls1_2", "1.3": "-tls1_3"}


@pytest.fixture
def simple(gateway, backend, pki):
    """A factory of sites with one certificate, for a.example, by the root."""
    def make(settings="", **kw):
        return site(gateway, kw.pop("origin", None) or backend(), certificate("a", pki.leaf(NAME)), settings, **kw)
    return make


def curl(gw, pki, *args, path="/", name=NAME, check=True):
    done = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", "--cacert", pki.ca().bundle, "--resolve", f"{name}:{gw.words['tls']}:{gw.host}",
         *map(str, args), tls_url(gw, name) + path], capture_output=True, timeout=30 * SLOW, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


# --- versions, ciphers, protocols -----------------------------------------------------------------
@both
def test_curl(simple, pki, version):
    """Verified, http/1.1 by ALPN, two requests on one connection, a body of 5 MB; the service is told https."""
    gw = simple()
    body = os.urandom(5 << 20)
    (gw.dir / "body").write_bytes(body)
    only = ["--http1.1", f"--tlsv{version}", "--tls-max", version]
    done = curl(gw, pki, *only, "-o", gw.dir / "one", "-w",
                "%{http_code} %{http_version} %{num_connects} %{ssl_verify_result}\n", tls_url(gw) + "/1", "-o",
                gw.dir / "two", path="/2")
    assert done.stdout.decode().splitlines() == ["200 1.1 1 0", "200 1.1 0 0"], done.stdout
    seen = json.loads((gw.dir / "two").read_text())
    assert ["x-forwarded-proto", "https"] in seen["headers"], seen
    done = curl(gw, pki, *only, "--data-binary", f"@{gw.dir}/body", "-H", "Expect:", path="/body")
    assert json.loads(done.stdout)["body"].encode("latin-1") == body
    lines = gw.access_log(3, lambda a: a.get("host") == NAME)
    assert {a["scheme"] for a in lines} == {"https"} and {a["tls"] for a in lines} == {f"TLSv{version}"}
    close = ["-H", "Connection: close", "-o", gw.dir / "one"]
    curl(gw, pki, *only, *close, tls_url(gw) + "/closed", "-o", gw.dir / "two", path="/resumed")
    line = gw.access_log(1, lambda a: a.get("path") == "/resumed")[0]
    assert line.get("tls_resumed", False) is (version == "1.3")  # of TLS 1.2 curl wants no tickets
    no_clients(gw)


def test_curl_refuses_a_stranger(simple, pki):
    """What is presented is the certificate, no more: another name does not pass for it."""
    gw = simple()
    assert curl(gw, pki, name="b.example", check=False).returncode == 60


def test_versions(simple, pki):
    """TLS 1.3 where both can, 1.2 for who cannot, nothing below: protocol_version (70) is the answer."""
    gw = simple()
    assert s_client(gw, ca=pki.ca()).version == "TLSv1.3"
    assert s_client(gw, "-tls1_2", ca=pki.ca()).version == "TLSv1.2"
    for old in ("-tls1_1", "-tls1"):
        said = s_client(gw, old, "-cipher", "ALL:@SECLEVEL=0")
        assert said.version is None and said.alert == 70, said.text
    no_clients(gw)


def test_min_and_max_version(simple, pki):
    gw = simple('min_version = "1.3";')
    assert s_client(gw, "-tls1_2").alert == 70
    assert s_client(gw, "-tls1_3", ca=pki.ca()).status == 200
    gw = simple('max_version = "1.2";')
    assert s_client(gw).version == "TLSv1.2"
    assert s_client(gw, "-tls1_3").alert == 70


def test_ciphers(simple, pki):
    """By default ECDHE with AEAD alone; what the settings say where they say something."""
    gw = simple()
    for bad in ("AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256"):
        said = s_client(gw, "-tls1_2", "-cipher", bad + ":@SECLEVEL=0")
        assert said.alert == 40, (bad, said.text)
    assert s_client(gw, "-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305").cipher == "ECDHE-ECDSA-CHACHA20-POLY1305"
    gw = simple('ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384"; ciphersuites = "TLS_CHACHA20_POLY1305_SHA256"; groups = "P-384";')
    assert s_client(gw, "-tls1_2").cipher == "ECDHE-ECDSA-AES256-GCM-SHA384"
    assert s_client(gw, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256").alert == 40
    said = s_client(gw, "-tls1_3")
    assert said.cipher == "TLS_CHACHA20_POLY1305_SHA256" and "secp384r1" in said.text, said.text
    assert s_client(gw, "-tls1_3", "-groups", "X25519").alert == 40


@both
def test_alpn(simple, pki, version):
    """http/1.1 is picked; a client that speaks none of ours is told so (120); one that asks for nothing is served."""
    gw = simple()
    assert s_client(gw, FLAG[version], "-alpn", "h3,http/1.1").alpn == "http/1.1"
    assert s_client(gw, FLAG[version], "-alpn", "spdy/1,mqtt").alert == 120
    assert s_client(gw, FLAG[version]).status == 200


def test_settings_openssl_does_not_take(simple):
    """A reload with words that OpenSSL does not know is refused and names them; all goes on."""
    gw = simple()
    good = gw.conf_file.read_text()
    for setting in ('ciphers = "NOSUCH";', 'ciphersuites = "TLS_NOSUCH";', 'groups = "P-999";'):
        done = change(gw, "enabled = true;", "enabled = true; " + setting, check=False)
        assert done.returncode != 0 and setting.split()[0] in done.said, done.said
        assert s_client(gw).status == 200
        gw.write_conf(good)
    body = {"address": f"127.0.0.1:{free_port()}", "tls": {"enabled": True, "ciphers": "NOSUCH"}}
    answer = gw.api("PUT", "/api/gateway/v1/listeners/other", json.dumps(body).encode(),
                    {"Content-Type": "application/json"})
    assert answer.status == 422 and b"NOSUCH" in answer.body, answer.body


# --- which certificate ----------------------------------------------------------------------------
def test_sni(gateway, backend, pki):
    """The exact name, then the wildcard of one label, then the default; letters' case does not matter. S-SEC-4"""
    exact, wild, other = pki.leaf("x.a.example"), pki.leaf("*.a.example"), pki.leaf("other.example")
    listed = [certificate("exact", exact), certificate("wild", wild), certificate("other", other)]
    gw = site(gateway, backend(), listed, 'default = [ "other" ];')
    for name, want in (("x.a.example", exact), ("X.A.Example", exact), ("y.a.example", wild), ("a.example", other),
                       ("z.y.a.example", other), ("nobody.test", other), (None, other)):
        assert peer(gw, name) == want.fingerprint, name
    assert s_client(gw, name="y.a.example", ca=pki.ca()).verified


def test_strict_sni(gateway, backend, pki):
    """unrecognized_name (112) for who asks for nobody we are; counted. S-SEC-4"""
    gw = site(gateway, backend(), certificate("a", pki.leaf([NAME, "*.w.example"])), "strict_sni = true;")
    assert s_client(gw, ca=pki.ca()).status == 200
    assert s_client(gw, name="q.w.example").status == 200
    for name in ("b.example", "w.example", None):
        for flag in FLAG.values():
            assert s_client(gw, flag, name=name).alert == 112, name
    no_clients(gw)


def test_hosts_and_listed_certificates(gateway, backend, pki):
    """`hosts` instead of the certificate's names; a listener offers those it lists and no others."""
    a, b = pki.leaf(NAME), pki.leaf("b.example")
    gw = site(gateway, backend(), [certificate("a", a, "one.example"), certificate("b", b)], 'certificates = [ "a" ];')
    assert peer(gw, "one.example") == peer(gw, "b.example") == a.fingerprint
    change(gw, 'certificates = [ "a" ]', 'certificates = [ "a", "b" ]')
    assert peer(gw, "b.example") == b.fingerprint and peer(gw, "one.example") == a.fingerprint


def test_ecdsa_and_rsa(gateway, backend, pki):
    """One name, three kinds of key: each client gets the one it can use. S-SEC-4"""
    leaves = [certificate(k, pki.leaf(NAME, key=k, ca=pki.ca("rsa", key="rsa") if k == "rsa" else None))
              for k in ("ec", "rsa", "ed25519")]
    gw = site(gateway, backend(), leaves)
    for sigalgs, want in (("ECDSA+SHA256", "ec"), ("RSA-PSS+SHA256", "rsa"), ("ed25519", "ed25519"),
                          ("RSA-PSS+SHA256:ECDSA+SHA256", None)):
        said = s_client(gw, "-tls1_3", "-sigalgs", sigalgs)
        assert said.status == 200 and (want is None or said.key == want), (sigalgs, said.text)
    assert s_client(gw, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256").key == "rsa"
    assert s_client(gw, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256").key == "ec"


def test_intermediates(gateway, backend, pki):
    """The chain is sent as it stands in the file: who knows the root alone can verify."""
    gw = site(gateway, backend(), certificate("a", pki.leaf(NAME, ca=pki.intermediate())))
    said = s_client(gw, "-showcerts", ca=pki.ca())
    assert said.verified and said.text.count("-----BEGIN CERTIFICATE") >= 2


# --- OCSP -------------------------------------------------------------------------------------------
def test_ocsp(gateway, backend, pki):
    """A response that is good and in time is stapled, in both versions, to who asks; one that is over is not. E-8"""
    leaf = pki.leaf(NAME, ca=pki.intermediate())
    gw = site(gateway, backend(), certificate("a", leaf, ocsp=pki.ocsp_response(leaf)))
    for flag in FLAG.values():
        said = s_client(gw, flag, "-status", ca=pki.ca())
        assert "OCSP Response Status: successful" in said.text and "Cert Status: good" in said.text, said.text
    assert "OCSP" not in s_client(gw).text


def test_ocsp_is_replaced_and_runs_out(gateway, backend, pki):
    """A new response is stapled without a reload; at its nextUpdate stapling ends, the certificate stays. E-8"""
    leaf = pki.leaf(NAME)
    path = pki.dir / "changing.der"
    path.write_bytes(pki.ocsp_response(leaf, days=2).read_bytes())
    gw = site(gateway, backend(), certificate("a", leaf, ocsp=path))
    first = s_client(gw, "-status").find("Next Update: (.*)")
    replace(path, pki.ocsp_response(leaf, days=3))
    until(lambda: s_client(gw, "-status").find("Next Update: (.*)") not in (None, first), 20, "the new response")
    done = change(gw, path, pki.ocsp_response(leaf, days=-2), check=False)
    said = s_client(gw, "-status", ca=pki.ca())
    assert said.status == 200
    assert ("no response sent" if done.returncode == 0 else "Cert Status: good") in said.text, (done.said, said.text)


def test_ocsp_that_is_not_good(gateway, backend, pki):
    """Revoked, another's, or no response at all: refused by a reload, with the reason. E-8"""
    leaf, other = pki.leaf(NAME), pki.leaf("b.example")
    gw = site(gateway, backend(), certificate("a", leaf, ocsp=pki.ocsp_response(leaf)))
    good = gw.conf_file.read_text()
    path = good.split('ocsp = "')[1].split('"')[0]
    garbage = gw.dir / "garbage"
    garbage.write_bytes(b"no response")
    for bad in (pki.ocsp_response(leaf, "revoked"), pki.ocsp_response(other), garbage):
        done = change(gw, path, bad, check=False)
        assert done.returncode != 0 and str(bad) in done.said, done.said
        assert "Cert Status: good" in s_client(gw, "-status").text
        gw.write_conf(good)


# --- resumption -------------------------------------------------------------------------------------
def requests(gw):
    return {p["pid"]: p["requests"] for p in gw.ctl_json("workers")["processes"] if p["kind"] == "worker"}


def full(gw, path, flag, *args, **kw):
    """A whole handshake whose session is kept in a file."""
    said = s_client(gw, flag, "-sess_out", path, *args, **kw)
    assert said.status == 200 and not said.reused, said.text
    return said


def again(gw, path, flag, *args, **kw):
    """Was the session resumed?"""
    said = s_client(gw, flag, "-sess_in", path, *args, **kw)
    assert said.status == 200, said.text
    return said.reused


@both
def test_resumption_in_another_worker(simple, pki, version):
    """A ticket of one worker resumes in every other; a worker's kill -9 changes nothing. S-SEC-4"""
    gw = simple(workers=4)
    session, flag = gw.dir / "resume", FLAG[version]
    full(gw, session, flag, ca=pki.ca())
    before = requests(gw)
    seen = set()
    for _ in range(100):
        assert again(gw, session, flag, ca=pki.ca())
        now = requests(gw)
        seen |= {pid for pid in now if now[pid] > before.get(pid, 0)}
        if len(seen) == 4:
            break
    assert len(seen) == 4, seen
    gw.allow_crash = "signal 9"
    for pid in gw.children("worker"):
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(set(gw.children("worker")) - seen) == 4, 20, "new workers")
    gw.wait_ready()
    for _ in range(4):
        assert again(gw, session, flag, ca=pki.ca())


@both
def test_resumption_across_reloads(simple, pki, version):
    """Reloads, by command and by HUP, and a replaced certificate: the ticket is still good. S-SEC-4"""
    gw = simple()
    session, flag = gw.dir / "resume", FLAG[version]
    full(gw, session, flag)
    change(gw, 'total = "0"', 'total = "60s"')
    assert again(gw, session, flag)
    generation = gw.metric("gateway_generation")
    gw.write_conf(gw.conf_file.read_text().replace('total = "60s"', 'total = "50s"'))
    gw.kill(signal.SIGHUP)
    until(lambda: gw.metric("gateway_generation") > generation, 10, "the reload")
    assert again(gw, session, flag)
    leaf = pki.leaf(NAME)
    gw.reload(SITE, certificates=certificate("a", leaf))
    assert peer(gw) == leaf.fingerprint
    assert again(gw, session, flag)


@both
def test_resumption_on_another_host(simple, version):
    """Two instances of one ticket_secret resume each other's; of two secrets, or of none, not. S-SEC-4"""
    flag, made = FLAG[version], []
    for octets in (b"a" * 48, b"a" * 48, b"b" * 48, None):
        gw = simple(more="", start=False)
        if octets:
            (gw.dir / "secret").write_bytes(octets)
            (gw.dir / "secret").chmod(0o600)
            gw.write_conf(gw.conf_file.read_text() + f'tls = {{ ticket_secret = "secret://file{gw.dir}/secret"; }};')
        made.append(gw.start())
    session = made[0].dir / "resume"
    full(made[0], session, flag)
    assert [again(gw, session, flag) for gw in made] == [True, True, False, False]


@both
def test_tickets_off(simple, version):
    gw = simple("tickets = false;")
    session = gw.dir / "resume"
    s_client(gw, FLAG[version], "-sess_out", session)
    assert not session.exists() or not again(gw, session, FLAG[version])


def test_ticket_lifetime(simple):
    """After the lifetime and the one that follows it the ticket is a whole handshake."""
    gw = simple(more='tls = { ticket_lifetime = "2s"; };')
    session = gw.dir / "resume"
    full(gw, session, "-tls1_3")
    until(lambda: not again(gw, session, "-tls1_3"), 15, "the end of the ticket", 0.5)


# --- certificates of clients ------------------------------------------------------------------------
MTLS = 'client = { mode = "%s"; ca = "%s"; %s };'


@pytest.fixture
def clients(pki):
    """A root of clients and certificates it signed."""
    ca = pki.ca("clients")
    return {"ca": ca, "good": pki.leaf("good.client", ca=ca, client=True, subject="/O=Example/CN=good"),
            "revoked": pki.leaf("revoked.client", ca=ca, client=True),
            "expired": pki.leaf("expired.client", ca=ca, client=True, days=-1),
            "early": pki.leaf("early.client", ca=ca, client=True, since=1, days=5),
            "server": pki.leaf("server.client", ca=ca),
            "foreign": pki.leaf("foreign.client", ca=pki.ca("foreign"), client=True),
            "deep": pki.leaf("deep.client", ca=pki.intermediate("clients-sub", ca), client=True)}


@both
def test_client_certificates_required(simple, clients, version):
    """Nobody without a certificate of that authority that is in time and for clients. S-SEC-4"""
    gw = simple(MTLS % ("required", clients["ca"].cert, ""))
    flag = FLAG[version]
    assert s_client(gw, flag, cert=clients["good"]).status == 200
    assert s_client(gw, flag, cert=clients["deep"]).status == 200
    for who in ("expired", "early", "server", "foreign", None):
        said = s_client(gw, flag, cert=clients.get(who))
        assert said.status is None and said.alert in (40, 42, 43, 45, 46, 48, 116), (who, said.text)
    no_clients(gw)


@both
def test_client_certificates_optional(simple, clients, version):
    """Nobody needs one, but one that is shown has to be good. S-SEC-4"""
    gw = simple(MTLS % ("optional", clients["ca"].cert, ""))
    flag = FLAG[version]
    assert s_client(gw, flag).status == 200
    assert s_client(gw, flag, cert=clients["good"]).status == 200
    assert s_client(gw, flag, cert=clients["expired"]).status is None
    assert s_client(gw, flag, cert=clients["foreign"]).status is None


def test_client_revoked(simple, pki, clients):
    """Revoked after the start: the list's file is replaced, and from then on that client is refused, its
    ticket too. E-8"""
    path = pki.dir / "clients.crl"
    path.write_bytes(pki.crl(clients["ca"]).read_bytes())
    gw = simple(MTLS % ("required", clients["ca"].cert, f'crl = "{path}";'))
    sessions = {v: gw.dir / f"resume-{v}" for v in FLAG}
    for v, flag in FLAG.items():
        full(gw, sessions[v], flag, cert=clients["revoked"])
    replace(path, pki.crl(clients["ca"], [clients["revoked"]]))
    until(lambda: s_client(gw, cert=clients["revoked"]).status is None, 20, "the new list to be in force", 0.2)
    for v, flag in FLAG.items():
        said = s_client(gw, flag, "-sess_in", sessions[v], cert=clients["revoked"])
        assert said.status is None, said.text
        assert s_client(gw, flag, cert=clients["good"]).status == 200


def test_crl_that_is_over(simple, pki, clients):
    """A list past its nextUpdate tells nothing: clients are refused, or the list is at the load. E-8"""
    gw = simple(MTLS % ("required", clients["ca"].cert, f'crl = "{pki.crl(clients["ca"])}";'))
    old = pki.crl(clients["ca"], days=-1)
    done = change(gw, gw.conf_file.read_text().split('crl = "')[1].split('"')[0], old, check=False)
    assert s_client(gw, cert=clients["good"]).status == (200 if done.returncode else None), done.said


@both
def test_resumed_client_is_the_same(simple, clients, version):
    """A resumed connection has the identity of the first one: policies see the same client. S-SEC-4"""
    gw = simple(MTLS % ("optional", clients["ca"].cert, ""), route='''policies = (
                { policy = "client_certificate"; subjects = [ "CN=good,O=Example" ]; } );''')
    session, flag = gw.dir / "resume", FLAG[version]
    full(gw, session, flag, cert=clients["good"])
    for _ in range(4):
        assert again(gw, session, flag, cert=clients["good"])
    lines = gw.access_log(5, lambda a: a.get("host") == NAME)
    assert {a["client_cert"] for a in lines} == {"CN=good,O=Example"}
    assert sorted(a.get("tls_resumed", False) for a in lines) == [False] + [True] * 4  # of several workers' logs
    for other in (None, clients["deep"]):
        assert s_client(gw, flag, cert=other).status == 403
        assert s_client(gw, flag, "-sess_out", gw.dir / "resume-other", cert=other).status == 403
        assert s_client(gw, flag, "-sess_in", gw.dir / "resume-other", cert=other).status == 403
    assert gw.access_log(6, lambda a: a.get("reason") == "client_certificate")


@both
def test_resumption_ends_with_the_authority(simple, pki, clients, version):
    """Another CA of clients: old tickets are whole handshakes, in which that client is refused. S-SEC-4"""
    gw = simple(MTLS % ("required", clients["ca"].cert, ""))
    session, flag = gw.dir / "resume", FLAG[version]
    full(gw, session, flag, cert=clients["good"])
    change(gw, clients["ca"].cert, pki.ca("foreign").cert)
    said = s_client(gw, flag, "-sess_in", session, cert=clients["good"])
    assert said.status is None, said.text
    assert s_client(gw, flag, "-sess_in", session, cert=clients["foreign"]).status == 200


def test_resumption_ends_with_the_certificate(simple, pki, clients):
    """A client whose certificate runs out meanwhile does not come back by its ticket. S-SEC-4"""
    short = pki.leaf("short.client", ca=clients["ca"], client=True, since=-1, days=6 * SLOW / 86400)
    gw = simple(MTLS % ("required", clients["ca"].cert, ""))
    sessions = {v: gw.dir / f"resume-{v}" for v in FLAG}
    for v, flag in FLAG.items():
        full(gw, sessions[v], flag, cert=short)
    until(lambda: s_client(gw, cert=short).status is None, 15, "the end of the certificate", 0.2)
    for v, flag in FLAG.items():
        said = s_client(gw, flag, "-sess_in", sessions[v], cert=short)
        assert said.status is None, said.text


def test_svids_of_clients(simple, pki):
    """Clients of a SPIFFE trust domain: its SVIDs and nobody else's. R-2.5"""
    ca = pki.ca("mesh")
    gw = simple(MTLS % ("required", ca.cert, 'trust_domain = "mesh.example";'), route='''policies = (
                { policy = "client_certificate"; spiffe = [ "spiffe://mesh.example/ns/shop/*" ]; } );''')
    good = pki.leaf(ca=ca, spiffe="spiffe://mesh.example/ns/shop/sa/web")
    assert s_client(gw, cert=good).status == 200
    assert s_client(gw, cert=pki.leaf(ca=ca, spiffe="spiffe://mesh.example/ns/other")).status == 403
    for bad in (pki.leaf(ca=ca, spiffe="spiffe://other.example/ns/shop/sa/web"),
                pki.leaf("web.mesh.example", ca=ca, client=True),
                pki.leaf(ca=ca, spiffe="spiffe://mesh.example.evil/a"),
                pki.leaf(ca=pki.ca(), spiffe="spiffe://mesh.example/a")):
        assert s_client(gw, cert=bad).status is None


# --- Python's ssl -----------------------------------------------------------------------------------
@both
def test_many_connections_in_all_workers(simple, pki, version):
    """Keep-alive within TLS; a client's sessions resume wherever its connection lands. S-SEC-4"""
    gw = simple(workers=3)
    tls = context(pki.ca(), version=version)
    with client(gw, tls) as c:
        for i in range(20):
            answer = c.ask("POST", f"/{i}", body=b"x" * (i * 1000), host=NAME)
            assert answer.status == 200 and answer.json()["body"] == "x" * (i * 1000)
        session, workers = c.sock.session, {worker_of(gw, c)}
    for _ in range(60):
        with client(gw, tls, session=session) as c:
            assert c.ask("GET", "/", host=NAME).status == 200 and c.sock.session_reused
            workers.add(worker_of(gw, c))
        if len(workers) == 3:
            break
    assert len(workers) == 3
    no_clients(gw)


def test_plain_http_at_the_tls_port(simple, backend):
    """Who forgot TLS is told so, and nothing of it reaches a service."""
    origin = backend()
    gw = simple(origin=origin)
    answer = ask(tls_address(gw), "GET", "/")
    assert answer.status == 400 and b"plain_http" in answer.body and answer.get("Connection") == "close"
    assert not origin.requests
    assert s_client(gw).status == 200
    no_clients(gw)


def test_end_of_tls_is_said(simple, pki):
    """The gateway ends with close_notify: an end that is none is seen as such by the client."""
    gw = simple()
    with client(gw, context(pki.ca())) as c:
        c.request("GET", "/", {"Connection": "close"}, host=NAME)
        assert c.response().status == 200
        assert c.sock.recv(1) == b""  # an end without close_notify would be ssl.SSLEOFError
    with client(gw, context(pki.ca())) as c:
        c.ask("GET", "/", host=NAME)
        c.sock.settimeout(10 * SLOW)
        plain = c.sock.unwrap()
        assert plain.recv(1) == b""
        plain.close()
    no_clients(gw)


@both
def test_large_download(gateway, backend, pki, version):
    """50 MB, octet for octet, to a client that pauses."""
    body = hashlib.sha256(b"x").digest() * (50 << 15)
    gw = site(gateway, backend(lambda x: x.respond(200, {}, body)), certificate("a", pki.leaf(NAME)))
    with client(gw, context(pki.ca(), version=version)) as c:
        c.request("GET", "/", host=NAME)
        assert c.head().get("Content-Length") == str(len(body))
        digest, n = hashlib.sha256(c.buf), len(c.buf)
        while n < len(body):
            if n % 97 == 0:
                time.sleep(0.02)
            data = c.sock.recv(100_000)
            digest.update(data)
            n += len(data)
    assert n == len(body) and digest.digest() == hashlib.sha256(body).digest()
    no_clients(gw)


def test_no_session_of_another_name(gateway, backend, pki):
    """A session of one host is good for it; under another name the certificate is still the right one."""
    gw = site(gateway, backend(), [certificate("a", pki.leaf(NAME)), certificate("b", pki.leaf("b.example"))],
              "strict_sni = true;")
    tls = context(pki.ca(), version="1.2")
    with client(gw, tls) as c:
        c.ask("GET", "/", host=NAME)
        session = c.sock.session
    with client(gw, tls, "b.example", session=session) as c:
        assert not c.sock.session_reused or c.ask("GET", "/", host="b.example").status in (200, 421)
