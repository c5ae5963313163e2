# SPDX-License-Identifier: Apache-2.0
"""The part of torture_reload.py that --h2 runs: reloads while calls of gRPC and HTTP/2 downloads are open.

50 bidirectional streams (grpcio on both sides) and 200 downloads by HTTP/2, read slowly, half of them over TLS, half of
them from a service that speaks HTTP/2, are open from the first reload to the last; all windows are full all the time.
Meanwhile others ask at odd times. Each reload changes routes, services, limits and the settings of HTTP/2. Not one
stream may end or be reset, not one connection be closed or told GOAWAY, and every octet is the right one.
R-5.1 R-7.1 R-8.1 C-4
"""
import contextlib
import hashlib
import queue
import random
import select
import socket
import tempfile
import threading
import time

import http2
from backend import Backend
from gateway import SLOW, Gateway, GatewayError, until
from grpc_echo import EchoServer, Request, echo
from origin import Origin
from pki import Pki
from ports import free_port
from tls import NAME, certificate, context

SITE = """
    workers = @workers@;
    supervision = { stuck_after = "60s"; };
    http = { generation_header = "X-Generation"; };
    access_log = { path = "@dir@/access.log"; };
    services = ( { id = "main"; url = "@origin@"; },
                 { id = "slow1"; url = "@slow1@"; timeouts = { idle = "@idle@s"; }; },
                 { id = "slow2"; url = "@slow2@"; protocol = "http2"; timeouts = { idle = "@idle@s"; }; },
                 { id = "echo"; url = "@echo@"; protocol = "http2"; timeouts = { idle = "@idle@s"; first_byte = "60s"; }; }
                 @services@ );
    routes = ( { id = "slow1"; path = "/slow1/*"; service = "slow1"; }, { id = "slow2"; path = "/slow2/*"; service = "slow2"; },
               { id = "echo"; path = "/echo.Echo/*"; service = "echo"; },
               { id = "all"; path = "/*"; service = "main"; policies = (
                  { policy = "headers"; response = { set = ( { name = "X-Turn"; value = "@turn@"; } ); }; } ); } @routes@ );
    certificates = ( @certificates@ );
    listeners = ( { id = "main"; address = "127.0.0.1:@port@"; timeouts = { idle = "600s"; write = "60s"; };
                    limits = { header_count = @count@; }; http2 = { streams = @count@; window = "@window@k"; }; },
                  { id = "tls"; address = "127.0.0.1:@tls@"; timeouts = { idle = "600s"; write = "60s"; };
                    tls = { enabled = true; }; http2 = { streams = @count@; }; } );
    limits = { worker_slots = 8; connections = 2000; map_size = "16M"; };
"""
ON_ONE = 10  # downloads on a connection
PART = 8192


def words(turn):
    """What differs from turn to turn."""
    return {"turn": turn, "idle": 300 + turn % 3, "count": 100 + turn % 9, "window": 64 + turn % 5,
            "services": "".join(f', {{ id = "svc-{turn}-{i}"; url = "http://127.0.0.1:{1000 + (turn * 3 + i) % 9000}"; '
                                f'protocol = "http{1 + i % 2}"; }}' for i in range(turn % 5)),
            "routes": "".join(f', {{ id = "extra-{turn}-{i}"; path = "/extra/{turn}/{i}/*"; service = "main"; }}'
                              for i in range(turn % 7))}


class Source:
    """Bodies that go on as fast as they are taken, until they are told to end."""

    def __init__(self):
        self.end, self.digests = threading.Event(), {}

    def parts(self, path):
        h, n = hashlib.sha256(), 0
        while not self.end.is_set():
            part = hashlib.sha256(b"%b %d" % (path.encode(), n)).digest() * (PART // 32)
            h.update(part)
            yield part
            n += 1
        self.digests[path] = h.hexdigest()

    def http1(self, x):
        x.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * PART)
        x.wire.sock.settimeout(None)
        x.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in self.parts(x.request.target):
            x.send(b"%x\r\n%b\r\n" % (len(part), part))
        x.send(b"0\r\n\r\n")

    def http2(self, x):
        x.head(200)
        for part in self.parts(x.path):
            x.write(part)
        x.conn.data(x.id)


class Downloads(threading.Thread):
    """Some on one connection: each is given a little credit now and then, and all of it in the end."""

    def __init__(self, address, tls, paths, end):
        super().__init__(daemon=True)
        self.client = http2.Client(address, tls=tls, name=tls and NAME, credit=False, settings={
            http2.INITIAL_WINDOW_SIZE: 2 * PART})
        self.client.update(0, 1 << 28)
        self.paths = {self.client.begin("GET", p): p for p in paths}
        self.hashes = {s: hashlib.sha256() for s in self.paths}
        self.due = dict.fromkeys(self.paths, 0)
        self.open, self.begun = set(self.paths), set()
        self.octets, self.wrong, self.end = 0, [], end

    def run(self):
        try:
            next_credit = 0
            while self.open:
                now = time.monotonic()
                if now >= next_credit or self.end.is_set():
                    self.give()
                    next_credit = now + 0.2
                self.turn()
        except (OSError, http2.H2Error) as e:
            self.wrong.append(f"downloads {list(self.paths.values())[0]}...: {e!r}")

    def give(self):
        out = b""
        for s, n in self.due.items():
            n = min(n, 1 << 20 if self.end.is_set() else PART // 2)
            if n and s in self.open:
                out += http2.octets(http2.WINDOW_UPDATE, 0, s, n.to_bytes(4, "big"))
                self.due[s] -= n
        if out:
            self.client.send(out)

    def turn(self):
        c = self.client
        if not c.buf and not (hasattr(c.sock, "pending") and c.sock.pending()) and \
                not select.select([c.sock], [], [], 0.05)[0]:
            return
        f = c.read(60 * SLOW)
        if f is None or f.type in (http2.GOAWAY, http2.RST_STREAM):
            raise http2.H2Error(f"ended by {f}")
        del self.client.seen[:-4]
        if f.type == http2.HEADERS:
            if dict(self.client.fields_of(f))[":status"] != "200":
                raise http2.H2Error("refused")
            self.begun.add(f.stream)
        elif f.type == http2.DATA:
            self.hashes[f.stream].update(f.payload)
            self.due[f.stream] += len(f.payload)
            self.octets += len(f.payload)
        if f.type in (http2.HEADERS, http2.DATA) and f.flags & http2.END_STREAM:
            self.open.discard(f.stream)
            if not self.end.is_set():
                raise http2.H2Error(f"stream {f.stream} was over too early")


class Talk:
    """One bidirectional stream."""

    def __init__(self, stub, name):
        self.queue, self.name = queue.Queue(), name
        self.stream = stub.Bidi(self)

    def __iter__(self):
        return self

    def __next__(self):
        request = self.queue.get()
        if request is None:
            raise StopIteration
        return request

    def say(self, turn):
        self.queue.put(Request(payload=b"%d in turn %d" % (self.name, turn)))

    def hear(self, turn):
        if next(self.stream).payload != b"%d in turn %d" % (self.name, turn):
            raise GatewayError(f"stream {self.name} said something else in turn {turn}")


class Keeper(threading.Thread):
    """Asks now and then, several requests at once."""

    def __init__(self, address, tls, stop):
        super().__init__(daemon=True)
        self.client, self.stop_event = http2.Client(address, tls=tls, name=tls and NAME), stop
        self.count, self.generation, self.wrong = 0, 0, []

    def run(self):
        try:
            while not self.stop_event.is_set():
                self.turn()
                time.sleep(random.choice((0.001, 0.01, 0.05)))
        except (OSError, http2.H2Error) as e:
            self.wrong.append(f"after {self.count} requests: {e!r}")

    def turn(self):
        asked = [self.client.begin("GET", "/512") for _ in range(random.randrange(1, 5))]
        for answer in self.client.take_all(asked).values():
            generation = int(answer.get("x-generation") or 0)
            if answer.status != 200 or len(answer.body) != 512 or answer.goaway or generation < self.generation:
                self.wrong.append(f"{answer!r} after generation {self.generation}")
            self.generation = max(generation, self.generation)
        self.count += len(asked)
        del self.client.seen[:-4]


class Torture:
    """All that is open."""

    def __init__(self, gw, root, stubs, source, streams, downloads):
        self.gw, self.source, self.stop = gw, source, threading.Event()
        ways = [(gw.address, lambda: None), ((gw.host, gw.words["tls"]), lambda: context(root, alpn=()))]
        paths = [f"/slow{1 + i % 2}/{i}" for i in range(downloads)]
        self.downloads = [Downloads(ways[i % 2][0], ways[i % 2][1](), paths[i * ON_ONE:(i + 1) * ON_ONE], source.end)
                          for i in range((downloads + ON_ONE - 1) // ON_ONE)]
        self.keepers = [Keeper(ways[i % 2][0], ways[i % 2][1](), self.stop) for i in range(4)]
        self.talks = [Talk(stubs[i % len(stubs)], i) for i in range(streams)]

    def begin(self):
        for t in self.downloads + self.keepers:
            t.start()
        self.look(0)
        until(lambda: all(d.begun == set(d.paths) for d in self.downloads) or self.wrong(), 30, "all downloads")
        self.calm(0)

    def calm(self, turn):
        if self.wrong():
            raise GatewayError(f"at reload {turn}: {self.wrong()[:5]}")

    def wrong(self):
        return [w for t in self.downloads + self.keepers for w in t.wrong]

    def look(self, turn):
        """Every stream is heard again."""
        for t in self.talks:
            t.say(turn)
        for t in self.talks:
            t.hear(turn)

    def finish(self):
        """All of it ends as it should; what did not."""
        self.source.end.set()
        self.stop.set()
        for t in self.talks:
            t.queue.put(None)
        for t in self.keepers + self.downloads:
            t.join(120 * SLOW)
        wrong = self.wrong() + [f"stream {t.name}: {t.stream.code()}" for t in self.talks if t.stream.code().value[0]]
        for d in self.downloads:
            wrong += [f"{d.paths[s]} goes on" for s in d.open]
            wrong += [f"{p}: digest differs" for s, p in d.paths.items()
                      if d.hashes[s].hexdigest() != self.source.digests.get(p)]
        return wrong

    def close(self):
        self.source.end.set()
        self.stop.set()
        for t in self.talks:
            t.queue.put(None)
        for t in self.downloads + self.keepers:
            t.client.close()


def torture_h2(reloads, reload_by_http, reload_by_signal, admin_client, workers=2, streams=50, downloads=200):
    """Runs it; returns the figures. Raises GatewayError on the first thing that is wrong."""
    source = Source()
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="gw-pki-", dir="/dev/shm"))
        pki = Pki(place)
        origin, server = stack.enter_context(Origin()), stack.enter_context(EchoServer())
        slow1 = stack.enter_context(Backend(source.http1, read_body=True))
        slow2 = stack.enter_context(http2.Server(source.http2))
        gw = stack.enter_context(Gateway(SITE, workers=workers, origin=origin.url, slow1=slow1.url, slow2=slow2.url,
                                         echo=server.url, tls=free_port(), certificates=certificate("a", pki.leaf(NAME)),
                                         **words(0)))
        stubs = [stack.enter_context(echo(gw.address, options=[("grpc.channel", i)])) for i in range(3)] + \
            [stack.enter_context(echo((gw.host, gw.words["tls"]), tls=pki.ca(), name=NAME, options=[("grpc.channel", i)]))
             for i in range(2)]
        t = Torture(gw, pki.ca(), stubs, source, streams, downloads)
        stack.callback(t.close)
        return drive(t, reloads, reload_by_http, reload_by_signal, admin_client)


def drive(t, reloads, reload_by_http, reload_by_signal, admin_client):
    gw, pids = t.gw, set(t.gw.children("worker"))
    t.begin()
    held = len(t.downloads) + len(t.keepers) + 5
    until(lambda: gw.metric("gateway_client_connections") == held, 20, f"{held} connections")
    accepted, generation = gw.metric("gateway_client_connections_total"), int(gw.metric("gateway_generation"))
    admin, began = admin_client(gw), time.monotonic()
    for turn in range(1, reloads + 1):
        gw.write_conf(SITE, **words(turn))
        now = reload_by_signal(gw, generation) if turn % 9 == 0 else reload_by_http(admin, turn)
        if now <= generation:
            raise GatewayError(f"at reload {turn}: generation {now} after {generation}")
        generation = now
        t.calm(turn)
        if turn % max(1, reloads // 20) == 0:
            t.look(turn)
    seconds = time.monotonic() - began
    admin.close()
    t.look(reloads + 1)
    closed = gw.metric("gateway_client_connections_total") - accepted
    wrong = t.finish()
    if closed:
        wrong.append(f"{closed:g} connections were closed and opened again")
    if set(gw.children("worker")) != pids:
        wrong.append("a worker was replaced")
    wrong += [f"ended early: {a}" for a in gw.access_log(where=lambda a: a["route"] != "all" and a.get("reason"))[:3]]
    if wrong:
        raise GatewayError("\n".join(map(str, wrong[:20])) + "\n" + gw.report())
    until(lambda: gw.metric("gateway_endpoint_in_flight") == 0, 10, "in-flight counts of zero")
    return {"reloads": reloads, "requests": sum(k.count for k in t.keepers), "streams": len(t.talks),
            "octets": sum(d.octets for d in t.downloads), "ms_per_reload": seconds / reloads * 1000}
