#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""usage: torture_reload.py [--reloads N] [--workers N] [--tls [--streams N]] [--h2]      (make torture-reload)

N reloads (1,000) of changing configurations under full load: wrk, keep-alive connections that ask at odd
times, long downloads from the first reload to the last. Not one request may fail, not one connection be
closed, not one worker be replaced, and generations only grow. C-4, R-8.1, S-AD-2

--tls: instead of wrk, 200 WebSockets, 200 event streams and 4 downloads are open from the first reload to the last,
half of each over TLS (1.2 and 1.3), while the certificate changes all the time: by the files under it, and with the
objects. New clients come all along. None is closed, and none sees anything but a good certificate. R-7.3 S-SEC-4

--h2: calls of gRPC and HTTP/2 downloads instead; see torture_h2.py. R-5.1 R-7.1
"""
import argparse
import hashlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from backend import Backend  # noqa: E402
from gateway import SLOW, Gateway, GatewayError, until  # noqa: E402
from origin import Origin  # noqa: E402
from pki import Pki, replace  # noqa: E402
from ports import free_port  # noqa: E402
from sockets import Sockets  # noqa: E402
from tls import NAME, certificate, context  # noqa: E402
from wire import Client, WireError  # noqa: E402

FIXED = """
    workers = @workers@;
    supervision = { stuck_after = "60s"; };
    http = { generation_header = "X-Generation"; };
    access_log = { path = "@dir@/access.log"; };
"""


def config(turn, origin, slow, port):
    """The configuration of a turn: what is asked for stays, all around it changes."""
    extra = "".join(f', {{ id = "extra-{turn}-{i}"; path = "/extra/{turn}/{i}/*"; service = "main"; }}'
                    for i in range(turn % 7))
    services = "".join(f', {{ id = "svc-{turn}-{i}"; url = "http://127.0.0.1:{1000 + (turn * 3 + i) % 9000}"; }}'
                       for i in range(turn % 5))
    listener = f', {{ id = "second"; address = "127.0.0.1:{port}"; }}' if turn % 10 < 5 else ""
    balancer = ("round_robin", "least_connections")[turn % 2]
    return f"""
    services = ( {{ id = "main"; url = "{origin}"; balancer = "{balancer}"; timeouts = {{ total = "0"; }}; }},
                 {{ id = "slow"; url = "{slow}"; timeouts = {{ idle = "{60 + turn % 3}s"; }}; }}{services} );
    routes = ( {{ id = "slow"; path = "/slow/*"; service = "slow"; }},
               {{ id = "all"; path = "/*"; service = "main"; policies = (
                  {{ policy = "headers"; response = {{ set = ( {{ name = "X-Turn"; value = "{turn}"; }} ); }}; }} ); }}{extra} );
    listeners = ( {{ id = "main"; address = "127.0.0.1:@port@"; timeouts = {{ idle = "300s"; }};
                     limits = {{ header_count = {100 + turn % 9}; }}; }}{listener} );
    """


class Trickle:
    """A body that goes on until it is told to end."""

    def __init__(self):
        self.end = threading.Event()
        self.digests = {}

    def __call__(self, x):
        h = hashlib.sha256()
        x.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        n = 0
        while not self.end.is_set():
            part = hashlib.sha256(b"%d" % n).digest() * 64
            h.update(part)
            x.send(b"%x\r\n%b\r\n" % (len(part), part))
            n += 1
            time.sleep(0.02)
        self.digests[x.request.target] = h.hexdigest()
        x.send(b"0\r\n\r\n")


class Keeper(threading.Thread):
    """One keep-alive connection that asks now and then, and notes what is wrong."""

    def __init__(self, address, stop, tls=None):
        super().__init__(daemon=True)
        self.client, self.stop_event = Client(address, timeout=30 * SLOW, tls=tls, name=tls and NAME), stop
        self.count, self.wrong, self.generation = 0, [], 0

    def run(self):
        try:
            while not self.stop_event.is_set():
                self.turn()
                time.sleep(random.choice((0, 0.001, 0.01, 0.05)))
        except (OSError, WireError) as e:
            self.wrong.append(f"after {self.count} requests: {e!r}")

    def turn(self):
        answer = self.client.ask("GET", "/512")
        self.count += 1
        generation = int(answer.get("X-Generation") or 0)
        if answer.status != 200 or len(answer.body) != 512:
            self.wrong.append(repr(answer))
        if generation < self.generation:
            self.wrong.append(f"generation {generation} after {self.generation}")
        self.generation = generation


class Download(threading.Thread):
    """One long download, digest taken."""

    def __init__(self, address, path, tls=None):
        super().__init__(daemon=True)
        self.client, self.path = Client(address, timeout=60 * SLOW, tls=tls, name=tls and NAME), path
        self.digest, self.wrong = None, []

    def run(self):
        try:
            self.digest = hashlib.sha256(self.client.ask("GET", self.path).body).hexdigest()
        except (OSError, WireError) as e:
            self.wrong.append(f"download {self.path}: {e!r}")


def reload_by_http(admin, turn):
    answer = admin.ask("POST", "/api/gateway/v1/reload", {}, b"", host="localhost")
    said = answer.json()
    if answer.status != 200 or not said["ok"]:
        raise GatewayError(f"reload {turn} was refused: {said}")
    return said["generation"]


def reload_by_signal(gw, before):
    gw.kill(signal.SIGHUP)
    return until(lambda: (g := int(gw.metric("gateway_generation"))) > before and g, 30, "the next generation", 0.005)


def torture(reloads, workers=2, wrk_connections=16):
    """Runs it; returns the figures. Raises GatewayError on the first thing that is wrong."""
    port, stop, trickle = free_port(), threading.Event(), Trickle()
    with Origin() as origin, Backend(trickle, read_body=True) as slow:
        gw = Gateway(FIXED + config(0, origin.url, slow.url, port), workers=workers)
        with gw:
            return drive(gw, reloads, wrk_connections, origin, slow, port, stop, trickle)


def drive(gw, reloads, wrk_connections, origin, slow, port, stop, trickle):
    workers = set(gw.children("worker"))
    until(lambda: gw.metric("gateway_client_connections") == 0, 5, "the probes to be gone")
    keepers = [Keeper(gw.address, stop) for _ in range(8)]
    downloads = [Download(gw.address, f"/slow/{i}") for i in range(4)]
    wrk = subprocess.Popen(["wrk", "-t1", f"-c{wrk_connections}", "-d86400s", "--timeout", "30s", f"{gw.url}/1024"],
                           stdout=subprocess.PIPE, text=True)
    try:
        for t in keepers + downloads:
            t.start()
        until(lambda: gw.metric("gateway_client_connections") == wrk_connections + len(keepers) + len(downloads), 20,
              "all connections")
        accepted = gw.metric("gateway_client_connections_total")
        seconds = reload_all(gw, reloads, origin, slow, port, keepers, downloads)
        closed = gw.metric("gateway_client_connections_total") - accepted
        trickle.end.set()
        stop.set()
        for t in keepers + downloads:
            t.join(60 * SLOW)
        wrk.send_signal(signal.SIGINT)
        said = wrk.communicate(timeout=60 * SLOW)[0]
    finally:
        wrk.kill()
        wrk.wait()
        stop.set()
        trickle.end.set()
    return judge(gw, said, closed, workers, keepers, downloads, trickle, reloads, seconds)


def reload_all(gw, reloads, origin, slow, port, keepers, downloads):
    generation = int(gw.metric("gateway_generation"))
    admin = Client(gw.socket, timeout=120)
    began = time.monotonic()
    for turn in range(1, reloads + 1):
        gw.write_conf(FIXED + config(turn, origin.url, slow.url, port))
        now = reload_by_signal(gw, generation) if turn % 9 == 0 else reload_by_http(admin, turn)
        if now <= generation:
            raise GatewayError(f"reload {turn}: generation {now} after {generation}")
        generation = now
        wrong = [w for t in keepers + downloads for w in t.wrong]
        if wrong:
            raise GatewayError(f"at reload {turn}: {wrong}")
    admin.close()
    return time.monotonic() - began


def judge(gw, said, closed, workers, keepers, downloads, trickle, reloads, seconds):
    wrong = [w for t in keepers + downloads for w in t.wrong]
    wrong += [f"{d.path}: digest differs" for d in downloads if d.digest != trickle.digests.get(d.path)]
    if "Socket errors" in said or "Non-2xx" in said:
        wrong.append(said)
    if closed:
        wrong.append(f"{closed:g} connections were closed and opened again")
    if set(gw.children("worker")) != workers:
        wrong.append("a worker was replaced")
    if gw.metric("gateway_endpoint_in_flight"):
        until(lambda: gw.metric("gateway_endpoint_in_flight") == 0, 10, "in-flight counts of zero")
    if wrong:
        raise GatewayError("\n".join(wrong[:20]) + "\n" + gw.report())
    requests = int(re.search(r"(\d+) requests in", said)[1])
    return {"reloads": reloads, "requests": requests + sum(k.count for k in keepers),
            "ms_per_reload": seconds / reloads * 1000}


# --- TLS ------------------------------------------------------------------------------------------
TLS_SITE = """
    services = ( { id = "main"; url = "@origin@"; }, { id = "slow"; url = "@slow@"; timeouts = { total = "0"; }; },
                 { id = "feed"; url = "@feed@"; timeouts = { total = "0"; idle = "300s"; }; },
                 { id = "chat"; url = "@chat@"; } );
    routes = ( { id = "slow"; path = "/slow/*"; service = "slow"; }, { id = "feed"; path = "/feed"; service = "feed"; },
               { id = "chat"; path = "/chat/*"; service = "chat"; websocket = { enabled = true; }; },
               { id = "all"; path = "/*"; service = "main"; policies = (
                  { policy = "headers"; response = { set = ( { name = "X-Turn"; value = "@turn@"; } ); }; } ); } );
    certificates = ( @certificates@ );
    listeners = ( { id = "main"; address = "127.0.0.1:@port@"; timeouts = { idle = "600s"; }; },
                  { id = "tls"; address = "127.0.0.1:@tls@"; timeouts = { idle = "600s"; };
                    tls = { enabled = true; handshake_timeout = "@timeout@s"; }; } );
    limits = { worker_slots = 8; connections = 2000; map_size = "16M"; };
"""


class Feed:
    """Event streams that are all told the same."""

    def __init__(self):
        self.streams, self.lock = [], threading.Lock()

    def __call__(self, x):
        x.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        with self.lock:
            self.streams.append(x)
        try:
            while x.wire.sock.recv(1):
                pass
        except OSError:
            pass
        x.close()

    def say(self, text):
        data = b"data: %b\n\n" % text.encode()
        with self.lock:
            for x in self.streams:
                x.send(b"%x\r\n%b\r\n" % (len(data), data))


class TlsTorture:
    """What is open from the first reload to the last, and what is done meanwhile."""

    def __init__(self, gw, pki, files, ws, feed, streams):
        self.gw, self.pki, self.files, self.feed = gw, pki, files, feed
        self.ways = [(gw.address, None)] + [((gw.host, gw.words["tls"]), context(pki.ca(), version=v, alpn=()))
                                            for v in ("1.2", "1.3")]
        ways = [self.ways[0], self.ways[1], self.ways[0], self.ways[2]]  # half of them plain
        self.events = [self.stream(*ways[i % 4]) for i in range(streams)]
        self.sockets = [self.socket(ws, i, *ways[i % 4]) for i in range(streams)]
        self.stop = threading.Event()
        self.keepers = [Keeper(*self.way(ways[i % 4])) for i in range(8)]
        self.downloads = [Download(ways[i][0], f"/slow/{i}", ways[i][1]) for i in range(4)]
        self.leaves = [pki.leaf(NAME, key=k) for k in ("ec", "ec", "rsa", "ed25519")]

    def way(self, way):
        return way[0], self.stop, way[1]

    @staticmethod
    def stream(address, tls):
        c = Client(address, timeout=60 * SLOW, tls=tls, name=tls and NAME)
        c.request("GET", "/feed")
        c.head()
        return c

    @staticmethod
    def socket(ws, i, address, tls):
        url = f"http{'s' if tls else ''}://{address[0]}:{address[1]}/chat/{i}"
        return ws.connect(url, **({"ssl": tls, "server_hostname": NAME} if tls else {}))

    def turn(self, turn):
        """One reload with another configuration, and other files under the certificate."""
        leaf = self.leaves[turn % len(self.leaves)]
        replace(self.files.dir / "key.pem", leaf.key)
        replace(self.files.dir / "chain.pem", leaf.chain)
        extra = [certificate(f"extra-{i}", self.leaves[i], f"x{turn}-{i}.example") for i in range(turn % 4)]
        self.gw.write_conf(FIXED + TLS_SITE, turn=turn, timeout=10 + turn % 7,
                           certificates=", ".join([certificate("a", self.files), *extra]))

    def look(self, turn):
        """Every stream gets this event, every socket answers; a new client comes by each way."""
        self.feed.say(str(turn))
        for c in self.events:
            c.until(b"data: %d\n\n\r\n" % turn)
        for c in self.sockets:
            if c.ask(f"turn {turn}") != f"turn {turn}":
                raise GatewayError(f"at reload {turn}: a WebSocket said something else")
        self.visit()

    def visit(self):
        for address, tls in self.ways:
            with Client(address, timeout=30 * SLOW, tls=tls, name=tls and NAME) as c:
                if c.ask("GET", "/512").status != 200:
                    raise GatewayError("a new client was refused")

    def wrong(self):
        return [w for t in self.keepers + self.downloads for w in t.wrong]


def torture_tls(reloads, workers=2, streams=200):
    """As torture(), over TLS; returns the figures."""
    trickle, feed = Trickle(), Feed()
    with tempfile.TemporaryDirectory(prefix="gw-pki-", dir="/dev/shm") as place, Origin() as origin, Sockets() as ws, \
            Backend(trickle, read_body=True) as slow, Backend(feed) as feeder:
        pki = Pki(place)
        files = pki.leaf(NAME)
        with Gateway(FIXED + TLS_SITE, workers=workers, origin=origin.url, slow=slow.url, feed=feeder.url,
                     chat=ws.serve().url, tls=free_port(), turn=0, timeout=10,
                     certificates=certificate("a", files)) as gw:
            return drive_tls(TlsTorture(gw, pki, files, ws, feed, streams), trickle, reloads)


def drive_tls(t, trickle, reloads):
    gw, workers = t.gw, set(t.gw.children("worker"))
    try:
        for thread in t.keepers + t.downloads:
            thread.start()
        held = len(t.events) + len(t.sockets) + len(t.keepers) + len(t.downloads)
        until(lambda: gw.metric("gateway_client_connections") == held, 20, "all connections")
        admin, generation, began = Client(gw.socket, timeout=120), 0, time.monotonic()
        for turn in range(1, reloads + 1):
            t.turn(turn)
            now = reload_by_signal(gw, generation or int(gw.metric("gateway_generation"))) if turn % 9 == 0 \
                else reload_by_http(admin, turn)
            if now <= generation or t.wrong():
                raise GatewayError(f"at reload {turn}: generation {now} after {generation}; {t.wrong()}")
            generation = now
            t.visit()
            if turn % max(1, reloads // 20) == 0:
                t.look(turn)
        seconds = time.monotonic() - began
        admin.close()
        t.look(reloads + 1)
    finally:
        trickle.end.set()
        t.stop.set()
    for thread in t.keepers + t.downloads:
        thread.join(60 * SLOW)
    wrong = t.wrong() + [f"{d.path}: digest differs" for d in t.downloads if d.digest != trickle.digests.get(d.path)]
    if set(gw.children("worker")) != workers:
        wrong.append("a worker was replaced")
    if not all(c.open for c in t.sockets):
        wrong.append("a WebSocket was closed")
    ended = [a for a in gw.access_log() if a.get("route") == "feed" or a.get("protocol") == "websocket"]
    wrong += [f"ended: {a}" for a in ended[:3]]
    if wrong:
        raise GatewayError("\n".join(map(str, wrong[:20])) + "\n" + gw.report())
    for c in t.sockets + t.events + [k.client for k in t.keepers] + [d.client for d in t.downloads]:
        c.close()
    until(lambda: gw.metric("gateway_client_connections") == 0, 20, "all connections to be over")
    return {"reloads": reloads, "requests": sum(k.count for k in t.keepers), "streams": held,
            "ms_per_reload": seconds / reloads * 1000}


def torture_http2(reloads, workers=2, **kw):
    """As torture(), of torture_h2.py, which needs grpcio."""
    from torture_h2 import torture_h2
    return torture_h2(reloads, reload_by_http, reload_by_signal, lambda gw: Client(gw.socket, timeout=120), workers, **kw)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--reloads", type=int, default=1000)
    p.add_argument("--workers", type=int, default=4)
    p.add_argument("--tls", action="store_true")
    p.add_argument("--streams", type=int, default=200)
    p.add_argument("--h2", action="store_true")
    args = p.parse_args()
    try:
        figures = torture_http2(args.reloads, args.workers) if args.h2 else \
            torture_tls(args.reloads, args.workers, args.streams) if args.tls else \
            torture(args.reloads, args.workers)
    except GatewayError as e:
        sys.exit(f"torture-reload: FAILED\n{e}")
    print(f"torture-reload: {figures['reloads']} reloads, {figures['requests']} requests, none failed, no connection "
          f"closed; {figures['ms_per_reload']:.1f} ms a reload")


if __name__ == "__main__":
    main()
