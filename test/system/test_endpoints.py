# SPDX-License-Identifier: Apache-2.0
"""Endpoints of their own rhythm: sets put, added to and given back through the API, host names that are followed. R-2.3,
F-K8S-02"""
import json
import os
import random
import signal
import socket
import struct
import threading

import pytest

from backend import Backend
from gateway import until

V1 = "/api/gateway/v1"
SITE = """
    workers = 2;
    services = ( { id = "s"; url = "@one@"; retry = { attempts = 1; }; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
"""


def call(gw, method, path, body=None, status=200):
    answer = gw.api(method, V1 + path, json.dumps(body).encode() if body is not None else None,
                    {"Content-Type": "application/json"} if body is not None else ())
    assert answer.status == status, (answer.first, answer.body)
    return json.loads(answer.body) if answer.body else None


def put_set(gw, *urls, service="s"):
    return call(gw, "PUT", f"/services/{service}/endpoints", {"endpoints": [{"url": u} for u in urls]})


def generation(gw):
    return gw.ctl_json("status")["generation"]


def served_by(gw, n=12, path="/"):
    """Who answers n requests, each on a connection of its own, so that every worker is asked."""
    return {gw.ask("GET", path).get("X-Backend") for _ in range(n)}


def replace(gw, kind):
    """Kills that child and waits for the next."""
    before = set(gw.children(kind))
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: set(gw.children(kind)) - before, what=f"another {kind}")


@pytest.fixture
def three(gateway, backend):
    b = [backend(name=n) for n in ("one", "two", "three")]
    return gateway(SITE, one=b[0].url), b


def test_set_without_generation(three):
    """A set takes the place of the settings in every worker at once, and no generation passes."""
    gw, b = three
    was = generation(gw)
    put_set(gw, b[1].url)
    assert served_by(gw) == {"two"}
    call(gw, "POST", "/services/s/endpoints", {"endpoints": [{"url": b[2].url}]})
    assert served_by(gw) == {"two", "three"}
    call(gw, "PUT", "/services/s/endpoints", {"endpoints": [{"url": "nonsense"}]}, 422)
    assert served_by(gw) == {"two", "three"}
    call(gw, "DELETE", "/services/s/endpoints")
    assert served_by(gw) == {"one"}
    assert generation(gw) == was


def test_set_outlives(three):
    """The settings change, the keeper dies, the host is booted anew: the set stands; it goes with its service."""
    gw, b = three
    put_set(gw, b[1].url)
    gw.reload(SITE.replace("attempts = 1", "attempts = 2"))
    assert served_by(gw) == {"two"}
    replace(gw, "keeper")
    assert served_by(gw) == {"two"}
    gw.stop()
    gw.start()
    assert served_by(gw) == {"two"}
    gw.reload('routes = ( { id = "none"; path = "/none"; policies = ( { policy = "fixed_response"; status = 204; } ); } );')
    gw.reload(SITE)
    assert served_by(gw) == {"one"}


def test_no_request_fails(three):
    """Endpoints come and go, all at once, under load: every request is answered by one of them."""
    gw, b = three
    over, bad, count = threading.Event(), [], [0]

    def load():
        client = gw.client()
        while not over.is_set():
            answer = client.ask("GET", "/")
            count[0] += 1
            if answer.status != 200:
                bad.append(answer.first)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for t in threads:
        t.start()
    rnd = random.Random(7)
    try:
        for _ in range(300):
            put_set(gw, *rnd.sample([x.url for x in b], rnd.randint(1, 3)))
    finally:
        over.set()
        for t in threads:
            t.join()
    assert not bad, bad[:5]
    assert count[0] > 300


def test_rows_come_back(gateway, backend):
    """4,000 endpoints come and go in 32 rows while workers serve, and no generation passes. A row rests until every
    worker has looked (507 until then, where they have no turn)."""
    b = backend(name="one")
    gw = gateway("limits = { endpoints = 32; };" + SITE, one=b.url)
    was, client = generation(gw), gw.client()
    for i in range(500):
        fresh = [{"url": f"http://127.9.{i // 250}.{i % 250}:{p}", "weight": 0} for p in range(1, 9)]
        body = json.dumps({"endpoints": [{"url": b.url}, *fresh]}).encode()
        statuses = []

        def put():
            statuses.append(gw.api("PUT", V1 + "/services/s/endpoints", body, {"Content-Type": "application/json"}).status)
            return statuses[-1] == 200
        until(put)
        assert set(statuses[:-1]) <= {507}, statuses
        if i % 10 == 0:
            assert client.ask("GET", "/").status == 200
    assert generation(gw) == was


# --- names -------------------------------------------------------------------------------------------------
class Dns:
    """A DNS server with one name and one address at a time, which lives a second. None: it does not exist."""

    def __init__(self, name, address):
        self.name, self.address, self.asked = name, address, 0
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.place = "127.0.0.1:%d" % self.sock.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self):
        self.sock.sendto(b"", self.sock.getsockname())
        self.thread.join()
        self.sock.close()

    def _run(self):
        while True:
            query, peer = self.sock.recvfrom(512)
            if not query:
                return
            self.asked += 1
            end = query.index(b"\0", 12) + 1
            name = b".".join(_labels(query[12:end])).decode()
            kind = struct.unpack_from(">H", query, end)[0]
            known = name == self.name and self.address is not None
            rest = struct.pack(">HHHIH", 0xc00c, 1, 1, 1, 4) + socket.inet_aton(self.address) if known and kind == 1 else b""
            head = query[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, 1 if rest else 0, 0, 0)
            self.sock.sendto(head + query[12:end + 4] + rest, peer)


def _labels(data):
    out = []
    while data[0]:
        out.append(data[1:data[0] + 1])
        data = data[data[0] + 1:]
    return out


@pytest.fixture
def dns():
    server = Dns("up.example.test", "127.0.0.1")
    yield server
    server.close()


def test_name_is_followed(gateway, backend, dns):
    """A service put by the API with a host name serves, and a changed answer is followed, without any reload."""
    one = backend(name="one")
    with Backend(name="two", host="127.0.0.2", port=one.port):
        gw = gateway(SITE, one=one.url, env={"GATEWAY_TEST_DNS": dns.place})
        assert not gw.children("discovery")
        call(gw, "PUT", "/services/named", {"endpoints": [{"url": f"http://up.example.test:{one.port}"}]}, 201)
        call(gw, "PUT", "/routes/named", {"path": "/named", "service": "named"}, 201)
        until(lambda: gw.ask("GET", "/named").status == 200, what="the name's address")
        assert served_by(gw, path="/named") == {"one"}
        was = generation(gw)
        dns.address = "127.0.0.2"
        until(lambda: served_by(gw, path="/named") == {"two"}, 5, what="the new address")
        # It does not exist any more, whoever looks it up is replaced: the last good answer stays.
        dns.address = None
        asked = dns.asked
        until(lambda: dns.asked > asked + 1, what="a look-up")
        for kind in ("discovery", "keeper"):
            replace(gw, kind)
        assert served_by(gw, path="/named") == {"two"}
        dns.address = "127.0.0.1"
        until(lambda: served_by(gw, path="/named") == {"one"}, 15, what="the old address again")
        assert generation(gw) == was
