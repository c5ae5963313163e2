# SPDX-License-Identifier: Apache-2.0
"""What the scanners of the trade (sslscan, testssl.sh) find at a TLS listener with the settings it has by default.
Whatever is not fine to them is explained below, and there is nothing else. S-SEC-4"""
import json
import shutil
import socket
import subprocess
import xml.etree.ElementTree as Xml

import pytest

from gateway import SLOW
from tls import NAME, certificate, no_clients, s_client, site

# What testssl.sh marks as other than OK or INFO, and why that is so. Names as in its JSON; `<cert#1>` is cut off.
EXPLAINED = {
    "engine_problem": "of the scanner's openssl: it has no GOST",
    "RC4": "of the scanner's openssl: it has no RC4 to offer; that we refuse RC4 is tested below and by sslscan",
    "sessionresumption_ticket": "of the scanner: it leaves its first connection at once, at times before the ticket that TLS 1.3 "
                                "sends behind the handshake is there; test_tls_clients.py has resumption",
}
AEAD = ("GCM", "CHACHA20", "CCM", "TLS_AES", "TLS_CHACHA20")


@pytest.fixture
def gw(gateway, backend, pki):
    """A site with ECDSA and RSA, chains and stapled responses, as one would run it."""
    ext = "authorityInfoAccess = OCSP;URI:http://ocsp.a.example\n"
    ec = pki.leaf(NAME, ca=pki.intermediate(), days=200, ext=ext)
    rsa = pki.leaf(NAME, ca=pki.ca("rsa", key="rsa"), key="rsa", days=200, ext=ext)
    made = site(gateway, backend(), [certificate(n, leaf, ocsp=pki.ocsp_response(leaf))
                                     for n, leaf in (("ec", ec), ("rsa", rsa))], workers=2)
    workers = set(made.children("worker"))
    yield made
    assert set(made.children("worker")) == workers, "a worker died"
    assert s_client(made, ca=pki.ca()).status == 200
    no_clients(made, 20)


def need(*names):
    """The first of these programs that is there."""
    found = next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.skip(f"no {names[0]} here")
    return found


def test_sslscan(gw):
    """TLS 1.2 and 1.3 alone; ECDHE with AEAD alone; no compression, no renegotiation, no heartbeat."""
    need("sslscan")
    out = gw.dir / "sslscan.xml"
    subprocess.run(["sslscan", "--no-colour", f"--xml={out}", f"--sni-name={NAME}", "--ocsp",
                    f"127.0.0.1:{gw.words['tls']}"], capture_output=True, timeout=60 * SLOW, check=True)
    found = Xml.parse(out).getroot().find("ssltest")
    on = {(p.get("type"), p.get("version")) for p in found.iter("protocol") if p.get("enabled") == "1"}
    assert on == {("tls", "1.2"), ("tls", "1.3")}
    ciphers = {c.get("cipher") for c in found.iter("cipher")}
    assert len(ciphers) >= 5 and not [c for c in ciphers if not any(a in c for a in AEAD)], ciphers
    assert all(c.startswith(("ECDHE-", "TLS_")) for c in ciphers), ciphers
    for c in found.iter("cipher"):
        assert c.get("strength") in ("strong", "acceptable"), c.attrib
    assert all(h.get("vulnerable") == "0" for h in found.iter("heartbleed"))
    assert all(r.get("supported") == "0" for r in found.iter("renegotiation"))
    assert all(c.get("supported") == "0" for c in found.iter("compression"))
    assert not [g.get("name") for g in found.iter("group") if int(g.get("bits")) < 112]


@pytest.mark.xdist_group("alone")
@pytest.mark.timeout(300 * SLOW)
def test_testssl(gw, pki):
    """Protocols, ciphers, forward secrecy, what the server prefers and shows, and every attack it knows."""
    testssl = need("testssl", "testssl.sh")
    out = gw.dir / "testssl.json"
    done = subprocess.run(
        [testssl, "--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none", "--ip", "127.0.0.1", "--fast",
         "-p", "-s", "-f", "-P", "-S", "-U", "--jsonfile", str(out), "--add-ca",
         f"{pki.ca().cert},{pki.ca('rsa', key='rsa').cert}", f"{NAME}:{gw.words['tls']}"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=240 * SLOW, check=False)
    found = json.loads(out.read_text())
    by = {f["id"].split(" ")[0]: f for f in found}
    for name in ("SSLv2", "SSLv3", "TLS1_2", "TLS1_3", "heartbleed", "CCS", "ticketbleed", "ROBOT", "secure_renego",
                 "secure_client_renego", "CRIME_TLS", "BREACH", "POODLE_SSL", "SWEET32", "FREAK", "DROWN", "LOGJAM",
                 "BEAST", "LUCKY13", "PFS", "cipherlist_NULL", "cipherlist_aNULL", "cipherlist_EXPORT", "cipherlist_LOW"):
        assert by[name]["severity"] == "OK", by[name]
    for name in ("TLS1", "TLS1_1", "cipherlist_3DES_IDEA", "cipherlist_AVERAGE"):
        assert by[name]["finding"].startswith("not offered"), by[name]
    bad = [f for f in found if f["severity"] not in ("OK", "INFO") and f["id"].split(" ")[0] not in EXPLAINED]
    assert not bad, json.dumps(bad, indent=1) + done.stdout[-2000:]


def test_no_rc4_and_no_3des(gw):
    """What the scanner's openssl may be unable to ask for, asked by number (RFC 4492, RFC 5246)."""
    numbers = (0x0004, 0x0005, 0x000a, 0x002f, 0x0035, 0x0016, 0x0033, 0x0039, 0xc007, 0xc011, 0xc008, 0xc012, 0xc009,
               0xc00a, 0xc013, 0xc014, 0xc023, 0xc027, 0x009c, 0x009d, 0x0000, 0x0001, 0x0002, 0x0018, 0x0034, 0xc018)
    for n in numbers:
        body = (b"\x03\x03" + bytes(32) + b"\0" + b"\x00\x02" + n.to_bytes(2, "big") + b"\x01\x00" +
                b"\x00\x18" + b"\x00\x0a\x00\x04\x00\x02\x00\x17" + b"\x00\x0d\x00\x0c\x00\x0a" +
                bytes.fromhex("04030804040108060501"))
        message = b"\x01" + len(body).to_bytes(3, "big") + body
        with socket.create_connection(("127.0.0.1", gw.words["tls"])) as c:
            c.sendall(b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message)
            c.settimeout(10 * SLOW)
            answer = c.recv(100)
        assert answer[:1] == b"\x15" and answer[6] in (40, 71), (hex(n), answer)
