# SPDX-License-Identifier: Apache-2.0
"""What no decent client sends at a TLS listener. Each ends as TLS says or with a closed connection, is counted by
its reason, and leaves nothing behind. S-SEC-4"""
import os
import select
import socket
import ssl
import struct
import subprocess
import time

import pytest

from gateway import SLOW, until
from tls import NAME, certificate, client, context, no_clients, s_client, site, tls_address
from wire import Client, Wire, raw


@pytest.fixture
def gw(gateway, backend, pki):
    """A site whose handshakes may take 2 s, found working and clean after each test."""
    made = site(gateway, backend(), certificate("a", pki.leaf(NAME)), f'handshake_timeout = "{2 * SLOW}s";',
                more='limits = { worker_slots = 8; connections = 6000; map_size = "16M"; };')
    workers = set(made.children("worker"))
    yield made
    assert set(made.children("worker")) == workers, "a worker died"
    assert s_client(made, ca=pki.ca()).status == 200
    no_clients(made)


def hello(version=None, name=NAME):
    """The octets of a client hello as OpenSSL makes them."""
    tls = context(None, version=version)
    out = ssl.MemoryBIO()
    try:
        tls.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def failures(gw):
    """{reason: count} of handshakes that came to nothing."""
    return {dict(labels).get("reason"): int(n) for (name, labels), n in gw.metrics().items()
            if name == FAILURES and n}


FAILURES = "gateway_tls_handshake_failures_total"


def counted(gw, *reasons, n=1):
    until(lambda: sum(failures(gw).get(r, 0) for r in reasons) >= n, 10, f"{n} of {reasons} in {failures(gw)}")


def alert_of(octets):
    """The description of the alert these octets end with; None: there is none."""
    return octets[6] if len(octets) >= 7 and octets[0] == 21 else None


GARBAGE = {
    "nearly http": b"GETS / HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "zeros": bytes(2000),
    "text": b"hello, this is not TLS\n" * 50,
    "random": os.urandom(5000),
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "proxy": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "sslv2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80" + bytes(60),
    "sslv3": b"\x16\x03\x00\x00\x2d\x01\x00\x00\x29\x03\x00" + bytes(33) + b"\x00\x02\x00\x0a\x01\x00",
    "record of application data": b"\x17\x03\x03\x00\x20" + bytes(32),
    "record of unknown type": b"\x63\x03\x03\x00\x20" + bytes(32),
    "record too large": b"\x16\x03\x01\xff\xff" + bytes(70000),
    "empty records": b"\x16\x03\x01\x00\x00" * 1000,
    "alerts first": b"\x15\x03\x01\x00\x02\x01\x5a" * 1000,
    "change cipher spec first": b"\x14\x03\x03\x00\x01\x01" * 1000,
    "server hello": b"\x16\x03\x03\x00\x30\x02\x00\x00\x2c\x03\x03" + bytes(42),
    "message of 16 MB": b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(0x4000 - 4),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_instead_of_a_hello(gw, what):
    """An alert at most, and closed; counted by its reason. Plain HTTP is told in its own words."""
    answer = raw(tls_address(gw), GARBAGE[what])
    if what == "http":
        assert answer.startswith(b"HTTP/1.1 400 ") and b"plain_http" in answer
    else:
        assert len(answer) <= 7 and (not answer or answer[0] == 21), answer
        counted(gw, "protocol", "refused", "version")


def test_hello_with_a_flipped_octet(gw):
    """Every octet of a hello wrong once: an answer that is TLS's or nothing, never a crash."""
    good = hello()
    for at in range(0, len(good), 1 if SLOW == 1 else 7):
        bad = good[:at] + bytes([good[at] ^ 0xff]) + good[at + 1:]
        answer = raw_half(gw, bad)
        assert not answer or answer[0] in (21, 22), (at, answer[:20])
    no_clients(gw)


def raw_half(gw, octets):
    """Sent, then nothing more comes; what is answered."""
    with Client(tls_address(gw)) as c:
        c.send(octets)
        c.sock.shutdown(socket.SHUT_WR)
        return c.rest()


def test_hello_cut_at_every_octet(gw):
    """The client leaves after each octet of its hello."""
    good = hello()
    for n in range(0, len(good), 3):
        answer = raw_half(gw, good[:n])
        assert not answer or answer[0] == 21, answer
    counted(gw, "closed", "protocol", n=10)


def test_hello_in_single_octets(gw, pki):
    """Slow, and good: the handshake comes to its end."""
    sock = socket.create_connection(tls_address(gw))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    inside, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context(pki.ca()).wrap_bio(inside, out, server_hostname=NAME)

    def turn(step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                for octet in out.read():
                    sock.sendall(bytes([octet]))
                got = sock.recv(65536)
                assert got
                inside.write(got)
    turn(tls.do_handshake)
    tls.write(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    for octet in out.read():
        sock.sendall(bytes([octet]))
    assert turn(lambda: tls.read(65536)).startswith(b"HTTP/1.1 200")
    sock.close()


def test_hello_in_many_records(gw):
    """A hello in records of one octet each: legal, or too many; in either case TLS's answer."""
    good = hello()
    body = good[5:]
    records = b"".join(b"\x16\x03\x01\x00\x01" + bytes([o]) for o in body)
    answer = raw_half(gw, records)
    assert answer and answer[0] in (21, 22)


def test_hello_too_large(gw):
    """A hello of 200 kB, most of it an extension nobody knows: refused before it is read whole."""
    body = b"\x01" + (200_000).to_bytes(3, "big") + b"\x03\x03" + bytes(200_000 - 2)
    records = b"".join(b"\x16\x03\x01" + len(body[i:i + 16384]).to_bytes(2, "big") + body[i:i + 16384]
                       for i in range(0, len(body), 16384))
    answer = raw(tls_address(gw), records)
    assert len(answer) <= 7, answer
    counted(gw, "protocol")


@pytest.mark.parametrize("octets", [b"", b"\x16", b"\x16\x03\x01", "half", "whole"])
def test_handshake_never_finished(gw, octets):
    """After handshake_timeout the connection is closed; counted as "timeout"."""
    sent = hello() if octets == "whole" else hello()[:100] if octets == "half" else octets
    start = time.monotonic()
    with Client(tls_address(gw)) as c:
        if sent:
            c.send(sent)
        c.rest()
    assert 1.5 < time.monotonic() - start < 6 * SLOW
    counted(gw, "timeout")


def test_half_open_handshakes(gw, pki):
    """2,000 handshakes begun and left there: others are served meanwhile, and all of them end in time."""
    part, held = hello(), []
    for i in range(2000):
        c = socket.create_connection(tls_address(gw))
        c.sendall(part if i % 2 else part[:50])
        held.append(c)
        if i % 200 == 0:
            assert s_client(gw, ca=pki.ca()).status == 200
    start = time.monotonic()
    no_clients(gw, 20)
    assert time.monotonic() - start < 10 * SLOW
    for c in held:
        c.close()
    counted(gw, "timeout", n=1000)


def test_resets_within_handshakes(gw):
    """500 clients reset the connection somewhere in the handshake."""
    good = hello()
    for i in range(500):
        c = socket.create_connection(tls_address(gw))
        c.sendall(good[:i % (len(good) + 1)])
        if i % 3 == 0:
            select.select([c], [], [], 0.005)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()
    no_clients(gw)


def mutual(gw, version, pki):
    """A finished handshake by hand: (socket, SSLObject, incoming, outgoing)."""
    sock = socket.create_connection(tls_address(gw))
    sock.settimeout(15 * SLOW)
    inside, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context(pki.ca(), version=version).wrap_bio(inside, out, server_hostname=NAME)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            sock.sendall(out.read())
            inside.write(sock.recv(65536))
    sock.sendall(out.read())
    return sock, tls, inside, out


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("what", ["garbage", "flipped", "plain", "empty", "alerts", "cut"])
def test_after_the_handshake(gw, pki, version, what):
    """Records that are none within a connection: closed, and no answer made of them."""
    sock, tls, _, out = mutual(gw, version, pki)
    tls.write(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    record = out.read()
    sent = {"garbage": os.urandom(3000), "flipped": record[:-1] + bytes([record[-1] ^ 1]),
            "plain": b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "empty": b"\x17\x03\x03\x00\x00" * 5000,
            "alerts": b"\x15\x03\x03\x00\x02\x01\x00" * 5000, "cut": record[:20]}[what]
    wire = Wire(sock)
    try:
        wire.send(sent)
        if what == "cut":
            sock.shutdown(socket.SHUT_WR)
        answer = wire.rest()
    except OSError:
        answer = b""
    assert b"HTTP/1.1 200" not in answer
    sock.close()
    assert not gw.access_log(0, lambda a: a.get("status") == 200 and a.get("host") == NAME)


def test_key_updates_without_end(gw, pki):
    """TLS 1.3: thousands of KeyUpdate requests. The connection works on or is closed; memory does not grow."""
    done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % tls_address(gw), "-servername", NAME, "-tls1_3"],
                          input=b"K\n" * 3000 + b"Q\n", capture_output=True, timeout=60 * SLOW, check=False)
    assert b"KEYUPDATE" in done.stdout + done.stderr


def test_renegotiation_is_refused(gw):
    """TLS 1.2: a client that asks for another handshake on the same connection gets none. S-SEC-4"""
    done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % tls_address(gw), "-servername", NAME, "-tls1_2",
                           "-legacy_renegotiation"], input=b"R\n" * 20 + b"Q\n", capture_output=True,
                          timeout=30 * SLOW, check=False)
    text = done.stdout + done.stderr
    assert b"RENEGOTIATING" in text and b"no renegotiation" in text, text


def test_closed_without_close_notify(gw, pki):
    """A client that ends TCP only: its request was whole and is answered before, a cut body is no body."""
    c = client(gw, context(pki.ca()))
    assert c.ask("GET", "/", host=NAME).status == 200
    c.close()
    c = client(gw, context(pki.ca()))
    c.request("POST", "/", {"Content-Length": "100"}, host=NAME)
    c.send(b"half")
    c.close()
    no_clients(gw)


def test_many_short_connections(gw, pki):
    """Clients that do the whole handshake and leave at once, politely and not."""
    tls = context(pki.ca())
    for i in range(200):
        c = client(gw, tls)
        if i % 2:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()
    no_clients(gw)


def test_wrong_client_settings_are_counted(gw, pki):
    """version, alpn, refused: each under its own name."""
    s_client(gw, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    counted(gw, "version")
    s_client(gw, "-alpn", "mqtt")
    counted(gw, "alpn")
    with pytest.raises(ssl.SSLError):
        client(gw, context(pki.ca("foreign")))
    counted(gw, "refused")
