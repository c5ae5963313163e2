# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made by the openssl command: nothing here is of use outside of one.

    pki = Pki(directory)
    root = pki.ca("root")                           # .cert .key .bundle (what a client is to trust)
    sub = pki.intermediate("sub", root)
    leaf = pki.leaf("a.example", ca=sub)            # .cert .key .chain (leaf, then intermediates)
    svid = pki.leaf(spiffe="spiffe://d/x", ca=root)
    old = pki.leaf(["b.example", "*.b.example"], ca=root, key="rsa", days=-1)
    pki.crl(root, [leaf]), pki.ocsp_response(leaf, "revoked", days=2)
    pki.many(1000, root_of="ed25519")               # quickly: one key, names h00000.example ...

Paths are pathlib's; a name may be a DNS name or an address. `days` is the end and `since` the beginning, as
days from now, fractions allowed. The fixture `pki` (test/system/conftest.py) lives as long as the session.
"""
import base64
import ctypes
import ctypes.util
import ipaddress
import os
import re
import ssl
import subprocess
import time
from pathlib import Path

KEYS = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "p384": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        "rsa": ["rsa:2048"], "ed25519": ["ed25519"]}
CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
[ca]
default_ca = d
[d]
database = {dir}/index
new_certs_dir = {dir}/issued
certificate = {dir}/cert.pem
private_key = {dir}/key.pem
rand_serial = yes
default_md = default
default_crl_days = 30
unique_subject = no
policy = p
[p]
organizationName = optional
organizationalUnitName = optional
commonName = optional
[ca_ext]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


def openssl(*args, before=(), **kw):
    """Runs openssl and returns what it printed."""
    done = subprocess.run([*before, "openssl", *map(str, args)], capture_output=True, check=False,
                          **{"stdin": subprocess.DEVNULL, **kw})
    if done.returncode != 0:
        raise AssertionError(f"openssl {' '.join(map(str, args))}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def moment(days):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * 86400))


def replace(path, octets):
    """What a careful administrator does: the new content under another name, then renamed."""
    new = Path(f"{path}.new")
    new.write_bytes(octets if isinstance(octets, bytes) else Path(octets).read_bytes())
    os.replace(new, path)


class Certificate:
    """A certificate and its key: files, and what is asked of them in tests."""

    def __init__(self, dir, ca=None):
        self.dir, self.ca = dir, ca
        self.cert, self.key, self.chain = dir / "cert.pem", dir / "key.pem", dir / "chain.pem"

    @property
    def der(self):
        return ssl.PEM_cert_to_DER_cert(self.pem)

    @property
    def pem(self):
        return re.search(r"-----BEGIN CERT.*?-----END CERTIFICATE-----\n", self.cert.read_text(), re.S)[0]

    def says(self, what):
        """What `openssl x509 -WHAT` prints: serial, fingerprint, subject, enddate ..."""
        return openssl("x509", "-in", self.cert, "-noout", f"-{what}").decode().strip().split("=", 1)[1]

    @property
    def serial(self):
        return self.says("serial")

    @property
    def fingerprint(self):
        """SHA-256, lower case, without colons."""
        return openssl("x509", "-in", self.cert, "-noout", "-fingerprint", "-sha256").decode().strip() \
            .split("=", 1)[1].replace(":", "").lower()


class Authority(Certificate):
    """A certificate that signs others; bundle: the root at the top of it."""

    @property
    def bundle(self):
        return self.ca.bundle if self.ca else self.cert

    def above(self):
        """The intermediates from here upwards, as PEM."""
        return self.pem + self.ca.above() if self.ca else ""


class Pki:
    def __init__(self, dir):
        self.dir, self.made, self.n = Path(dir), {}, 0
        self.dir.mkdir(parents=True, exist_ok=True)

    def _place(self, kind, name):
        self.n += 1
        place = self.dir / f"{self.n:03}-{kind}-{re.sub(r'[^A-Za-z0-9.-]', '_', name)[:40]}"
        place.mkdir()
        return place

    def _authority(self, kind, name):
        place = self._place(kind, name)
        (place / "issued").mkdir()
        (place / "index").touch()
        (place / "conf").write_text(CONFIG.format(dir=place))
        return place

    def _request(self, place, key, subject):
        """A key and a request of its own."""
        new = ["-newkey", *KEYS[key]] if isinstance(key, str) else ["-key", key.key]
        keyout = ["-keyout", place / "key.pem"] if isinstance(key, str) else []
        (place / "req.conf").write_text("[req]\ndistinguished_name = dn\nprompt = no\n[dn]\n")
        openssl("req", "-new", "-config", place / "req.conf", *new, "-nodes", *keyout, "-subj", subject, "-out",
                place / "csr.pem")
        if not isinstance(key, str):
            (place / "key.pem").write_bytes(key.key.read_bytes())

    def _sign(self, place, ca, ext, since, days):
        (place / "ext").write_text(ext)
        openssl("ca", "-batch", "-notext", "-config", ca.dir / "conf", "-in", place / "csr.pem", "-out",
                place / "cert.pem", "-startdate", moment(since), "-enddate", moment(days), "-extfile", place / "ext")

    # --- who signs ----------------------------------------------------------------------------------
    def ca(self, name="root", key="ec", days=365, spiffe=None):
        """A root of this name: the same one each time it is asked for."""
        tag = ("ca", name, key, days, spiffe)
        if tag not in self.made:
            place = self._authority("ca", name)
            if spiffe:
                with (place / "conf").open("a") as f:
                    f.write(f"subjectAltName = URI:{spiffe}\n")
            openssl("req", "-x509", "-config", place / "conf", "-extensions", "ca_ext", "-newkey", *KEYS[key], "-nodes",
                    "-keyout", place / "key.pem", "-subj", f"/CN={name}", "-days", days, "-out", place / "cert.pem")
            (place / "chain.pem").write_bytes((place / "cert.pem").read_bytes())
            self.made[tag] = Authority(place)
        return self.made[tag]

    def intermediate(self, name="intermediate", ca=None, key="ec", days=365, since=-1):
        ca = ca or self.ca()
        tag = ("sub", name, ca.dir, key, days, since)
        if tag not in self.made:
            place = self._authority("sub", name)
            self._request(place, key, f"/CN={name}")
            self._sign(place, ca, CONFIG.split("[ca_ext]\n")[1], since, days)
            sub = self.made[tag] = Authority(place, ca)
            sub.chain.write_text(sub.above())
        return self.made[tag]

    # --- what is signed -----------------------------------------------------------------------------
    def leaf(self, names=(), ca=None, key="ec", spiffe=None, client=False, subject=None, days=30, since=None, ext=""):
        """A new one each time. names: one or several. key: a kind, or a Certificate whose key is taken.
        client: for clients, not servers (with `spiffe` for both). ext: more lines of openssl's."""
        names = [names] if isinstance(names, str) else list(names)
        ca = ca or self.ca()
        place = self._place("leaf", names[0] if names else spiffe or subject or "none")
        if subject is None:
            subject = f"/CN={names[0]}" if names else "/" if spiffe else "/CN=nobody"
        self._request(place, key, subject)
        alt = [f"IP:{n}" if is_address(n) else f"DNS:{n}" for n in names] + ([f"URI:{spiffe}"] if spiffe else [])
        use = "serverAuth, clientAuth" if spiffe else "clientAuth" if client else "serverAuth"
        text = ("basicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n"
                f"extendedKeyUsage = {use}\nsubjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n")
        if alt:
            text += f"subjectAltName = {'critical, ' if subject == '/' else ''}{', '.join(alt)}\n"
        self._sign(place, ca, text + ext, min(-1, days - 1) if since is None else since, days)
        leaf = Certificate(place, ca)
        leaf.chain.write_text(leaf.pem + ca.above())
        return leaf

    def many(self, count, name="h%05d.example"):
        """That many certificates of one key, by an Ed25519 root: [Certificate], a thousand in a second.
        One is made by openssl; in the others its name and serial are replaced and the signature made anew."""
        ca = self.ca("many", key="ed25519")
        first = self.leaf(name % 0, ca=ca)
        der, old = first.der, (name % 0).encode()
        tbs = slice(*tbs_range(der))
        serial = int(first.serial, 16).to_bytes(20, "big")
        sign = signer(ca.key)
        place = self._place("many", "many")
        out = []
        for i in range(count):
            new = (name % i).encode()
            assert len(new) == len(old)
            body = der[tbs].replace(old, new).replace(serial, serial[:-4] + i.to_bytes(4, "big"), 1)
            whole = der[:tbs.start] + body + der[tbs.stop:-64] + sign(body)
            c = Certificate(place, ca)
            c.cert = c.chain = place / f"{i:05}.pem"
            c.key = first.key
            c.cert.write_text("-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(whole).decode() +
                              "-----END CERTIFICATE-----\n")
            out.append(c)
        return out

    # --- what is said of them -----------------------------------------------------------------------
    def _index(self, place, entries):
        """The database of a CA that knows these only: [(Certificate, revoked)]."""
        lines = []
        for cert, revoked in entries:
            end = cert.says("enddate")
            end = time.strftime("%y%m%d%H%M%SZ", time.strptime(end, "%b %d %H:%M:%S %Y GMT"))
            when = moment(-0.5)[2:] if revoked else ""
            lines.append("\t".join(("R" if revoked else "V", end, when, cert.serial, "unknown", "/CN=x")) + "\n")
        (place / "index").write_text("".join(lines))
        (place / "index.attr").write_text("unique_subject = no\n")
        (place / "conf").write_text(CONFIG.format(dir=place))

    def crl(self, ca, revoked=(), days=30):
        """The path of a list of this CA that has these and no others. Negative days: it is over."""
        place = self._place("crl", "crl")
        self._index(place, [(c, True) for c in revoked])
        openssl("ca", "-gencrl", "-config", place / "conf", "-cert", ca.cert, "-keyfile", ca.key, "-crl_lastupdate",
                moment(min(-1, days - 1)), "-crl_nextupdate", moment(days), "-out", place / "crl.pem")
        return place / "crl.pem"

    def ocsp_response(self, leaf, status="good", days=7, signer=None):
        """The path of a response (DER) about this leaf, by its CA (or another). Negative days: it is over."""
        place = self._place("ocsp", status)
        self._index(place, [(leaf, status == "revoked")])
        ca = signer or leaf.ca
        before = ["faketime", "-f", f"{int(days) - 1}d"] if days <= 0 else []
        openssl("ocsp", "-index", place / "index", "-CA", leaf.ca.cert, "-rsigner", ca.cert, "-rkey", ca.key, "-issuer",
                leaf.ca.cert, "-cert", leaf.cert, "-no_nonce", "-nmin",
                max(1, round((1 if days <= 0 else days) * 1440)), "-respout", place / "response.der", before=before)
        return place / "response.der"


def is_address(name):
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def tbs_range(der):
    """Where the signed part of a certificate stands."""
    def header(at):
        n = der[at + 1]
        if n < 0x80:
            return 2, n
        return 2 + (n & 0x7f), int.from_bytes(der[at + 2:at + 2 + (n & 0x7f)], "big")
    start = header(0)[0]
    head, length = header(start)
    return start, start + head + length


def signer(key):
    """A function that signs octets with an Ed25519 key, without a process for each."""
    lib = ctypes.CDLL(ctypes.util.find_library("crypto"))
    for name in ("BIO_new_file", "PEM_read_bio_PrivateKey", "EVP_MD_CTX_new"):
        getattr(lib, name).restype = ctypes.c_void_p
    bio = ctypes.c_void_p(lib.BIO_new_file(str(key).encode(), b"r"))
    pkey = ctypes.c_void_p(lib.PEM_read_bio_PrivateKey(bio, None, None, None))
    lib.BIO_free(bio)

    def sign(octets):
        md = ctypes.c_void_p(lib.EVP_MD_CTX_new())
        size, out = ctypes.c_size_t(64), ctypes.create_string_buffer(64)
        ok = lib.EVP_DigestSignInit(md, None, None, None, pkey) == 1 and \
            lib.EVP_DigestSign(md, out, ctypes.byref(size), octets, ctypes.c_size_t(len(octets))) == 1
        lib.EVP_MD_CTX_free(md)
        assert ok and size.value == 64
        return out.raw
    return sign
