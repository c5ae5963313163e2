# SPDX-License-Identifier: Apache-2.0
"""Exchanges made at random, octet for octet: every framing on either side, cut into pieces anywhere, pipelined, read
slowly. What goes in comes out, in order, and nothing else. G-FR-003, G-FR-004"""
import hashlib
import random
import threading
import time

import pytest

from gateway import SLOW, until
from wire import Client

SITE = """
    workers = 2;
    services = ( { id = "s"; url = "@origin@"; pool = { requests = 50; }; health = { passive = false; }; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
    listeners = ( { id = "main"; address = "127.0.0.1:@port@"; limits = { body = "0"; }; } );
"""
SIZES = (0, 0, 1, 2, 10, 100, 1000, 4095, 4096, 8191, 16383, 16384, 16385, 40000, 65536, 150000, 400000)


def octets(seed, n):
    """n octets that say where they are."""
    block = hashlib.sha256(str(seed).encode()).digest()
    return (block * (n // 32 + 1))[:n]


def chunked(rng, body, trailers=b""):
    out = bytearray()
    while body:
        n = min(len(body), rng.choice((1, 2, 7, 100, 4096, 16384, 70000)) if len(body) < 50000 else
                rng.choice((4096, 16384, 70000)))
        ext = rng.choice((b"", b"", b"", b";a=b", b';q="x y"')) if n > 100 else b""
        out += b"%x%b\r\n%b\r\n" % (n, ext, body[:n])
        body = body[n:]
    return bytes(out) + b"0\r\n" + trailers + b"\r\n"


def pieces(rng, data):
    """The data in pieces as a network may cut it."""
    if rng.random() < 0.5:
        yield data
        return
    while data:
        n = rng.choice((1, 3, 17, 500, 1448, 5000, 60000)) if len(data) < 20000 else rng.choice((1448, 20000, 60000))
        yield data[:n]
        data = data[n:]


def answering(x):
    """The service: what it answers, and how, follows from the target alone: /seed/status/size/framing."""
    seed, status, size, framing = x.request.target[1:].split("?")[0].split("/")
    rng = random.Random(seed)
    status, body = int(status), octets("down" + seed, int(size))
    head = f"HTTP/1.1 {status} Random\r\nX-Seed: {seed}\r\nX-Got: {hashlib.sha256(x.request.body).hexdigest()}\r\n"
    if framing == "chunked":
        head, body = head + "Transfer-Encoding: chunked\r\n\r\n", chunked(rng, body)
    elif framing == "close":
        head += "Connection: close\r\n\r\n"
    else:
        head += f"Content-Length: {len(body)}\r\n\r\n"
    if x.request.method == "HEAD" or status in (204, 304):
        body = b""
    if rng.random() < 0.2:
        x.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    for piece in pieces(rng, head.encode() + body):
        x.send(piece)
    if framing == "close":
        x.close()


class Exchange:
    """A request made from a seed, and what its answer must be."""

    def __init__(self, seed):
        rng = random.Random(seed)
        self.seed, self.method = seed, rng.choice(("GET", "GET", "HEAD", "POST", "PUT", "DELETE"))
        self.status = rng.choice((200, 200, 200, 201, 404, 500)) if rng.random() < 0.9 else rng.choice((204, 304))
        size = rng.choice(SIZES)
        framing = rng.choice(("length", "length", "chunked", "close"))
        if self.status in (204, 304):
            framing, size = "close" if framing == "close" else "length", 0
        self.down = b"" if self.method == "HEAD" else octets(f"down{seed}", size)
        self.up = octets(f"up{seed}", rng.choice(SIZES)) if self.method in ("POST", "PUT") else b""
        head = f"{self.method} /{seed}/{self.status}/{size}/{framing}?q HTTP/1.1\r\nHost: random.example\r\n"
        head += "".join(f"X-Filler-{i}: {'f' * rng.choice((1, 50, 300))}\r\n" for i in range(rng.randint(0, 8)))
        if self.up and rng.random() < 0.5:
            self.data = (head + "Transfer-Encoding: chunked\r\n\r\n").encode() + chunked(rng, self.up)
        elif self.method in ("POST", "PUT"):
            self.data = (head + f"Content-Length: {len(self.up)}\r\n\r\n").encode() + self.up
        else:
            self.data = (head + "\r\n").encode()

    def check(self, answer):
        assert answer.status == self.status and answer.get("X-Seed") == str(self.seed), (self.seed, answer)
        assert answer.get("X-Got") == hashlib.sha256(self.up).hexdigest(), f"{self.seed}: the service got something else"
        assert answer.body == self.down, f"{self.seed}: {len(answer.body)} octets of {len(self.down)}"


def conversation(address, seed, turns):
    """One connection: exchanges in groups that are sent ahead, read at leisure."""
    rng = random.Random(seed)
    with Client(address, timeout=30 * SLOW) as c:
        done = 0
        while done < turns:
            group = [Exchange(f"{seed}-{done + i}") for i in range(rng.choice((1, 1, 1, 2, 5)))]
            done += len(group)
            data = b"".join(e.data for e in group)
            sender = threading.Thread(target=lambda data=data: [c.send(p) for p in pieces(rng, data)], daemon=True)
            sender.start()
            for e in group:
                if rng.random() < 0.1:
                    time.sleep(0.01)
                e.check(c.response(e.method))
            sender.join(30 * SLOW)


@pytest.mark.parametrize("seed", range(6))
def test_conversations(gateway, backend, seed):
    """Eight at a time, each on one connection."""
    gw = gateway(SITE, origin=backend(answering).url)
    wrong = []

    def go(n):
        try:
            conversation(gw.address, seed * 1000 + n, 25)
        except Exception as e:  # pylint: disable=broad-except
            wrong.append(f"conversation {seed * 1000 + n}: {e!r}")
    threads = [threading.Thread(target=go, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(100)
    assert not wrong, wrong[:3]
    until(lambda: gw.metric("gateway_http_requests_active") == 0, 5, "no request in progress")
    gw.wait_metric("gateway_endpoint_in_flight", 0)
    lines = gw.access_log(200)
    assert not [a for a in lines if a.get("reason")], [a for a in lines if a.get("reason")][:3]
