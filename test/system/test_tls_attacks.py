# SPDX-License-Identifier: Apache-2.0
"""TLS seen by somebody who wants in: sessions where they do not belong, files that are no good. S-SEC-4 S-EC-1"""
import re
from pathlib import Path

import pytest

from gateway import until
from pki import Certificate, openssl, replace
from ports import free_port
from tls import NAME, certificate, change, client, context, peer, s_client, site


@pytest.fixture
def simple(gateway, backend, pki):
    """A factory of sites with one certificate, for a.example, by the root."""
    def make(settings="", **kw):
        return site(gateway, backend(), certificate("a", pki.leaf(NAME)), settings, **kw)
    return make


# --- sessions ---------------------------------------------------------------------------------------
def test_session_under_another_name(gateway, backend, pki):
    """TLS 1.2: a session of one name is none of another (RFC 6066 3): the right certificate is shown, and a name
    that a strict listener does not know is refused, session or not."""
    gw = site(gateway, backend(), [certificate("a", pki.leaf(NAME)), certificate("b", pki.leaf("b.example"))],
              "strict_sni = true;")
    tls = context(None, version="1.2")
    with client(gw, tls) as c:
        c.ask("GET", "/", host=NAME)
        session = c.sock.session
    with client(gw, tls, session=session) as c:
        assert c.sock.session_reused
    with client(gw, tls, "b.example", session=session) as c:
        assert not c.sock.session_reused and c.ask("GET", "/", host="b.example").status == 200
    with pytest.raises(OSError):
        client(gw, tls, "c.example", session=session)
    with pytest.raises(OSError):
        client(gw, tls, None, session=session)
    until(lambda: gw.metric("gateway_tls_handshake_failures_total", reason="name") == 2, 10, "both to be counted")


def test_session_of_other_ciphers(gateway, backend, pki, tmp_path):
    """TLS 1.2: a session does not carry a cipher to a listener that has switched it off."""
    weak = free_port()
    gw = site(gateway, backend(), certificate("a", pki.leaf(NAME)), more="", weak=weak)
    text = gw.conf_file.read_text().replace('{ id = "tls";', f'{{ id = "weak"; address = "127.0.0.1:{weak}"; '
                                            'tls = { enabled = true; ciphers = "ECDHE-ECDSA-AES128-SHA256"; }; },\n{ id = "tls";')
    gw.reload(text)
    strong, gw.words["tls"] = gw.words["tls"], weak
    said = s_client(gw, "-tls1_2", "-sess_out", tmp_path / "session")
    assert said.status == 200 and said.cipher == "ECDHE-ECDSA-AES128-SHA256"
    gw.words["tls"] = strong
    said = s_client(gw, "-tls1_2", "-sess_in", tmp_path / "session")
    assert said.status == 200 and not said.reused and "GCM" in said.cipher


# --- files --------------------------------------------------------------------------------------------
def weak_pair(kind, pki, dir):
    """PEM of chain and key that the openssl command makes and no handshake can use."""
    key = ["-newkey", "rsa:1024" if kind == "key" else "rsa:2048", "-nodes", "-keyout", dir / "weak.key"]
    openssl("req", "-new", *key, "-subj", f"/CN={NAME}", "-out", dir / "weak.csr")
    (dir / "ext").write_text(f"subjectAltName = DNS:{NAME}\n")
    openssl("x509", "-req", "-sha1" if kind == "signature" else "-sha256", "-in", dir / "weak.csr", "-CA", pki.ca().cert,
            "-CAkey", pki.ca().key, "-extfile", dir / "ext", "-out", dir / "weak.pem")
    return dir / "weak.pem", dir / "weak.key"


@pytest.mark.parametrize("kind", ("key", "signature"))
def test_weak_is_bad(gateway, backend, pki, tmp_path, kind):
    """What OpenSSL would show to nobody is refused, and the good one goes on; unless somebody asked for it."""
    good = pki.leaf(NAME)
    files = Certificate(tmp_path)
    replace(files.chain, good.chain)
    replace(files.key, good.key)
    gw = site(gateway, backend(), certificate("a", files), 'ciphers = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256";')
    chain, key = weak_pair(kind, pki, tmp_path)
    replace(files.chain, chain)
    replace(files.key, key)
    done = gw.reload(check=False)
    assert done.returncode != 0 and "so weak" in done.stdout + done.stderr
    assert peer(gw) == good.fingerprint
    done = change(gw, "AES128-GCM-SHA256\"", "AES128-GCM-SHA256:@SECLEVEL=0\"")
    assert s_client(gw, "-tls1_2", "-cipher", "ALL:@SECLEVEL=0").status == 200


def delta_crl(pki, ca, revoked):
    """A list of what has changed since list 1."""
    place = pki.crl(ca, revoked).parent
    with (place / "conf").open("a") as f:
        f.write("\n[delta]\n2.5.29.27 = critical, DER:02:01:01\n")
    openssl("ca", "-gencrl", "-config", place / "conf", "-cert", ca.cert, "-keyfile", ca.key, "-crlexts", "delta",
            "-crldays", 30, "-out", place / "crl.pem")
    return place / "crl.pem"


def test_delta_lists_are_refused(gateway, backend, pki, tmp_path):
    """A delta list beside its complete one would let in who was revoked long ago: it is refused, the old goes on."""
    ca = pki.ca("clients")
    old, other = (pki.leaf(subject=f"/CN={n}", ca=ca, client=True) for n in ("old", "other"))
    crl = tmp_path / "crl.pem"
    replace(crl, pki.crl(ca, [old]))
    gw = site(gateway, backend(), certificate("a", pki.leaf(NAME)),
              f'client = {{ mode = "required"; ca = "{ca.cert}"; crl = "{crl}"; }};')
    assert s_client(gw, "-tls1_2", cert=other).status == 200 and s_client(gw, "-tls1_2", cert=old).alert == 44
    replace(crl, crl.read_bytes() + delta_crl(pki, ca, [other]).read_bytes())
    done = gw.reload(check=False)
    assert done.returncode != 0 and "2nd revocation list" in done.stdout + done.stderr
    assert s_client(gw, "-tls1_2", cert=other).status == 200 and s_client(gw, "-tls1_2", cert=old).alert == 44


# --- clients' certificates ------------------------------------------------------------------------------
@pytest.mark.parametrize("version", ("1.2", "1.3"))
def test_enormous_certificate(simple, pki, version):
    """A client's certificate that no ticket can hold is refused as too large, and not by an error of our own."""
    ca = pki.ca("clients")
    large = pki.leaf(subject="/CN=large", ca=ca, client=True, ext=f"1.2.3.4 = ASN1:UTF8String:{'x' * 70_000}\n")
    good = pki.leaf(subject="/CN=good", ca=ca, client=True, ext=f"1.2.3.4 = ASN1:UTF8String:{'x' * 20_000}\n")
    gw = simple(f'client = {{ mode = "optional"; ca = "{ca.cert}"; }};')
    flag = "-tls1_2" if version == "1.2" else "-tls1_3"
    assert not s_client(gw, flag, cert=large).status
    until(lambda: gw.metric("gateway_tls_handshake_failures_total", reason="protocol") == 1, 10, "it to be counted")
    with client(gw, context(pki.ca(), good, version)) as c:
        assert c.ask("GET", "/", host=NAME).status == 200


@pytest.mark.parametrize("what", ("crl", "ticket_secret"))
def test_what_is_kept_is_told(gateway, backend, pki, tmp_path, what):
    """Whatever goes bad by itself is kept, and warned of, be it in no certificate's facts. S-EC-1"""
    ca, bad = pki.ca("clients"), tmp_path / "file"
    replace(bad, pki.crl(ca) if what == "crl" else b"s" * 48)
    settings, more = f'client = {{ mode = "optional"; ca = "{ca.cert}"; crl = "{bad}"; }};', ""
    if what == "ticket_secret":
        settings, more = "", f'tls = {{ ticket_secret = "secret://file{bad}"; }};'
    gw = site(gateway, backend(), certificate("a", pki.leaf(NAME)), settings, more=more)
    replace(bad, b"nonsense")
    gw.wait_log(rf"warn .*tls\.(client\.)?{what}.*{bad}.*kept")


# --- octets ---------------------------------------------------------------------------------------------
def test_no_keys_in_cores(simple):
    """Who has keys in memory leaves no core behind, however the gateway was started."""
    gw = simple()
    for pid in gw.children("worker"):
        assert re.search(r"(?m)^Max core file size +0 +0 ", Path(f"/proc/{pid}/limits").read_text())
