# SPDX-License-Identifier: Apache-2.0
"""What the tests of TLS share: a site with a plain and a TLS listener, clients, openssl's s_client.

    gw = site(gateway, origin, certificate("a", leaf), 'min_version = "1.3";')
    with client(gw, context(root)) as c:            # test/lib/wire.py, within TLS, for a.example
        c.ask("GET", "/")
        worker_of(gw, c)
    said = s_client(gw, "-tls1_2", ca=root)         # said.reused, .version, .alert ...
"""
import hashlib
import os
import re
import ssl
import subprocess

from gateway import SLOW, until
from ports import free_port
from wire import Client

NAME = "a.example"
SITE = """
    workers = @workers@;
    http = { generation_header = "X-Generation"; };
    certificates = ( @certificates@ );
    services = ( { id = "s"; url = "@origin@"; timeouts = { total = "0"; }; } @services@ );
    routes = ( { id = "all"; path = "/*"; service = "s"; @route@ } @routes@ );
    listeners = ( { id = "main"; address = "127.0.0.1:@port@"; },
                  { id = "tls"; address = "127.0.0.1:@tls@"; timeouts = { idle = "300s"; };
                    tls = { enabled = true; @settings@ }; } );
    @more@
"""
ASK = f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"


def certificate(id, leaf, *hosts, ocsp=None):
    """The text of a certificate's object."""
    names = f'hosts = [ {", ".join(chr(34) + h + chr(34) for h in hosts)} ]; ' if hosts else ""
    more = f'ocsp = "{ocsp}"; ' if ocsp else ""
    return f'{{ id = "{id}"; {names}certificate = "{leaf.chain}"; key = "{leaf.key}"; {more}}}'


def site(gateway, origin, certificates, settings="", **kw):
    """A running gateway; kw: workers, route, routes, services, more, and what Gateway takes. Its TLS port is gw.words["tls"]."""
    if not isinstance(certificates, str):
        certificates = ", ".join(certificates)
    words = {"workers": 2, "route": "", "routes": "", "services": "", "more": "", "tls": free_port(), **kw}
    text = SITE.replace("@more@", words["more"])  # before Gateway looks which settings are missing
    return gateway(text, origin=origin if isinstance(origin, str) else origin.url, certificates=certificates,
                   settings=settings, **words)


def change(gw, old, new, check=True):
    """Reloads with this text of the configuration replaced; what gatewayctl said."""
    text = gw.conf_file.read_text()
    assert str(old) in text
    done = gw.reload(text.replace(str(old), str(new)), check=check)
    done.said = done.stdout + done.stderr
    return done


def tls_address(gw):
    return (gw.host, gw.words["tls"])


def tls_url(gw, name=NAME):
    return f"https://{name}:{gw.words['tls']}"


# --- Python's client ------------------------------------------------------------------------------
def context(ca, cert=None, version=None, alpn=("http/1.1",)):
    """An SSLContext that trusts this Authority (None: anybody), shows this Certificate, speaks one version."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        c.load_verify_locations(ca.bundle)
    else:
        c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    if cert:
        c.load_cert_chain(cert.chain, cert.key)
    if version:
        c.minimum_version = c.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    if alpn:
        c.set_alpn_protocols(list(alpn))
    return c


def client(gw, tls, name=NAME, **kw):
    return Client(tls_address(gw), tls=tls, name=name, **kw)


def peer(gw, name=NAME, ca=None):
    """The fingerprint of the certificate a new client sees."""
    with client(gw, context(ca), name) as c:
        return hashlib.sha256(c.sock.getpeercert(True)).hexdigest()


def worker_of(gw, c):
    """The pid of the worker that has the other end of this connection."""
    mine = "%04X" % c.sock.getsockname()[1]
    theirs = "%04X" % c.sock.getpeername()[1]
    with open("/proc/net/tcp", encoding="ascii") as f:
        inode = next(row[9] for row in map(str.split, f)
                     if row[1].endswith(":" + theirs) and row[2].endswith(":" + mine))
    for pid in gw.children("worker"):
        for fd in os.scandir(f"/proc/{pid}/fd"):
            try:
                if os.readlink(fd.path) == f"socket:[{inode}]":
                    return pid
            except OSError:
                pass
    raise AssertionError("no worker has this connection")


def no_clients(gw, timeout=10):
    """Waits until nobody is connected: nothing is stuck."""
    until(lambda: gw.metric("gateway_client_connections") == 0, timeout, "all connections to be over")


# --- openssl's client -----------------------------------------------------------------------------
class Said:
    """What s_client printed, and what tests look for in it."""

    def __init__(self, text):
        self.text = text

    def find(self, pattern):
        m = re.search(pattern, self.text)
        return m and next(g for g in m.groups() if g)

    @property
    def version(self):
        """None where the handshake failed."""
        m = re.search(r"(?m)^(New|Reused), (TLSv[\d.]+), Cipher is (\S+)", self.text)
        return m and m[2]

    @property
    def reused(self):
        m = re.search(r"(?m)^(New|Reused), TLS", self.text)
        assert m, self.text
        return m[1] == "Reused"

    @property
    def cipher(self):
        return self.find(r"(?m)^(?:New|Reused), TLSv[\d.]+, Cipher is (\S+)")

    @property
    def alpn(self):
        return self.find(r"ALPN protocol: (\S+)")

    @property
    def key(self):
        """The kind of key of the certificate: ec, rsa, ed25519."""
        return {"ECDSA": "ec", "RSA": "rsa", "RSA-PSS": "rsa", "ED25519": "ed25519", "Ed25519": "ed25519"}.get(
            self.find(r"Peer signature type: (\S+)|a:PKEY: (ED25519)"))

    @property
    def name(self):
        return self.find(r"(?m)^subject=.*?CN = (\S+)")

    @property
    def verified(self):
        return "Verify return code: 0 (ok)" in self.text

    @property
    def alert(self):
        """The number of the alert that ended it."""
        n = self.find(r"SSL alert number (\d+)")
        return n and int(n)

    @property
    def status(self):
        """Of the HTTP answer."""
        n = self.find(r"(?m)^HTTP/1.1 (\d+) ")
        return n and int(n)


def s_client(gw, *args, name=NAME, ca=None, cert=None, send=ASK, timeout=20):
    """One connection by s_client that sends this and waits for the end. name None: no SNI."""
    line = ["openssl", "s_client", "-connect", f"{gw.host}:{gw.words['tls']}", "-ign_eof"]
    line += ["-servername", name] if name else ["-noservername"]
    if ca:
        line += ["-CAfile", ca.bundle] + (["-verify_hostname", name] if name else [])
    if cert:
        line += ["-cert", cert.cert, "-key", cert.key] + (["-cert_chain", cert.chain] if cert.ca and cert.ca.ca else [])
    done = subprocess.run([str(a) for a in [*line, *args]], input=send.encode(), capture_output=True,
                          timeout=timeout * SLOW, check=False)
    return Said((done.stdout + done.stderr).decode("latin-1"))
