# SPDX-License-Identifier: Apache-2.0
"""Many streams at random, every pair of versions, octet for octet: sizes, pieces, pauses, resets from either side,
trailers, small windows. What goes in comes out; what is reset takes nothing else with it. R-1.1 R-7.1"""
import collections
import hashlib
import random
import threading
import time


import http2
from backend import Backend
from gateway import SLOW, until
from wire import Client, WireError

SITE = """
    workers = 2;
    services = ( { id = "one"; url = "@one@"; pool = { requests = 50; }; health = { passive = false; }; },
                 { id = "two"; url = "@two@"; protocol = "http2"; pool = { requests = 70; }; health = { passive = false; }; } );
    routes = ( { id = "one"; path = "/one/*"; service = "one"; }, { id = "two"; path = "/two/*"; service = "two"; } );
    listeners = ( { id = "main"; address = "127.0.0.1:@port@"; limits = { body = "0"; }; } );
"""
SIZES = (0, 0, 1, 2, 10, 100, 1000, 4095, 9000, 16383, 16384, 16385, 40000, 65535, 65536, 150000, 400000)
SECONDS = 12
PARALLEL = 24
CONNECTION_WINDOW = 1 << 20  # of both sides' settings: what is given back stays above its half


def octets(seed, n):
    """n octets that say where they are."""
    block = hashlib.sha256(seed.encode()).digest()
    return b"".join(hashlib.sha256(block + i.to_bytes(4, "big")).digest() * 8 for i in range(n // 256 + 1))[:n]


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Plan:
    """What an exchange is to be: all of it follows from its target, /one/SEED/UP/DOWN/END."""

    ENDS = ("whole",) * 8 + ("server_resets", "client_resets", "early", "late_reset")

    def __init__(self, target):
        _, self.service, self.seed, up, down, self.end = target.split("/")
        self.target, self.up, self.down = target, octets("up" + self.seed, int(up)), octets("down" + self.seed, int(down))
        self.rng = random.Random(self.seed + "server")

    @classmethod
    def make(cls, rng, service):
        size = [rng.choice(SIZES) for _ in "ud"]
        return cls(f"/{service}/{rng.getrandbits(48):x}/{size[0]}/{size[1]}/{rng.choice(cls.ENDS)}")

    def pieces(self, data, rng):
        while data:
            n = rng.choice((1, 7, 500, 5000, 16384)) if len(data) < 20000 else rng.choice((5000, 16384, 60000))
            yield data[:n]
            data = data[n:]
            if rng.random() < 0.05:
                time.sleep(rng.random() * 0.01)


class Service:
    """Both origins: what they saw that was wrong."""

    def __init__(self):
        self.wrong = []

    def http2(self, x):
        p = Plan(x.path)
        if p.end == "server_resets":
            x.head(200)
            x.write(p.down[:len(p.down) // 2])
            x.reset(random.choice((http2.INTERNAL_ERROR, http2.CANCEL)))
            return
        if p.end != "early":  # an answer that does not wait for the request
            x.body()
            if x.reset_by_peer is None and not x.ended:
                return
            self.check(p, x.read_all, x.trailers, x.reset_by_peer is not None or p.end == "client_resets")
        x.head(200, [("x-seed", p.seed)])
        for part in p.pieces(p.down, p.rng):
            x.write(part)
        if p.end == "late_reset":
            x.reset(http2.INTERNAL_ERROR)
            return
        x.conn.headers(x.id, [("x-digest", digest(p.down))])
        while p.end == "early" and x.piece():
            pass

    def http1(self, x):
        p = Plan(x.request.target)
        x.send(f"HTTP/1.1 200 OK\r\nX-Seed: {p.seed}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        if p.end == "server_resets":
            half = p.down[:len(p.down) // 2]
            x.send(b"%x\r\n%b" % (len(half) + 10, half))
            x.close()
            return
        self.check(p, x.request.body, [], p.end == "client_resets")
        for part in p.pieces(p.down, p.rng):
            x.send(b"%x\r\n%b\r\n" % (len(part), part))
        if p.end == "late_reset":
            x.close()
        else:
            x.send(b"0\r\nX-Digest: %b\r\n\r\n" % digest(p.down).encode())

    def check(self, p, body, trailers, cut):
        if cut and p.up.startswith(body):
            return
        if body != p.up:
            self.wrong.append(f"{p.target}: {len(body)} octets of {len(p.up)}, or others")
        said = dict(trailers).get("x-up")
        if said is not None and said != p.seed:
            self.wrong.append(f"{p.target}: trailers {trailers}")


class Side:
    """One exchange on a client's HTTP/2 connection."""

    def __init__(self, client, plan, rng):
        self.client, self.plan, self.rng = client, plan, rng
        self.left = memoryview(plan.up)
        self.trailer = rng.random() < 0.3
        ended = not plan.up and not self.trailer
        self.sent = ended
        fields = [("te", "trailers")] + ([("content-length", str(len(plan.up)))] if rng.random() < 0.5 else [])
        self.stream = client.begin("POST", plan.target, fields, end=ended)
        self.answer, self.over, self.mine = http2.Answer(), False, False
        self.due = 0
        self.reset_at = rng.randrange(len(plan.up) + len(plan.down) + 1) if plan.end == "client_resets" else None

    def send(self):
        """A piece, where there is room. True: something went."""
        c = self.client
        if self.sent or self.over:
            return False
        n = min(len(self.left), self.rng.choice((1, 100, 5000, 16384)), c.window, c.windows[self.stream])
        if n <= 0 and self.left:
            return False
        part, self.left = bytes(self.left[:n]), self.left[n:]
        end = not self.left and not self.trailer
        if part or end:
            c.data(self.stream, part, end=end)
        if not self.left and self.trailer:
            c.headers(self.stream, [("x-up", self.plan.seed)])
        self.sent = not self.left
        self.maybe_reset()
        return True

    def maybe_reset(self):
        if self.reset_at is not None and not self.over and \
                len(self.plan.up) - len(self.left) + len(self.answer.body) >= self.reset_at:
            self.client.rst(self.stream)
            self.over = self.mine = True

    def frame(self, f, fields):
        a = self.answer
        if fields is not None:
            if a.fields:
                a.trailers = fields
            else:
                a.fields = fields
        if f.type == http2.DATA:
            a.body += f.content
            self.due += len(f.payload)
        if f.type == http2.RST_STREAM:
            a.reset, self.over = f.code, True
        if f.flags & http2.END_STREAM and f.type in (http2.DATA, http2.HEADERS):
            a.ended = self.over = True
        self.maybe_reset()

    def credit(self):
        """Given now and then, in portions."""
        n = min(self.due, self.rng.choice((700, 5000, 100000)))
        if n and not self.over:
            self.client.update(self.stream, n)
        self.due -= n

    def judge(self):
        """"" or what is wrong."""
        p, a = self.plan, self.answer
        if self.mine:
            return "" if p.down.startswith(a.body) else f"{p.target}: other octets"
        if p.end in ("server_resets", "late_reset"):
            if a.ended and a.status == 200:
                return f"{p.target}: a broken answer looks whole: {a}"
            return "" if p.down.startswith(a.body) or a.status >= 500 else f"{p.target}: other octets"
        if a.status != 200 or not a.ended or a.body != p.down:
            return f"{p.target}: {len(a.body)} octets of {len(p.down)}, {a}"
        if dict(a.trailers).get("x-digest") != digest(p.down):
            return f"{p.target}: trailers {a.trailers}"
        return "" if a.get("x-seed") == p.seed else f"{p.target}: the answer of another"


class Many:
    """A connection that is never without some exchanges, until the time is over."""

    def __init__(self, gw, seed, ways, until_time):
        self.rng, self.gw, self.ways, self.end = random.Random(seed), gw, ways, until_time
        self.counts, self.wrong = collections.Counter(), []

    def connect(self):
        window = self.rng.choice((2000, 16384, 65535, 300000))
        return http2.Client(self.gw.address, credit=False, settings={http2.INITIAL_WINDOW_SIZE: window})

    def run(self):
        try:
            while time.monotonic() < self.end and not self.wrong:
                self.connection()
        except (OSError, http2.H2Error) as e:
            self.wrong.append(f"{e!r} after {dict(self.counts)}")

    def connection(self):
        resets, most = 0, self.rng.randrange(1, 200)
        with self.connect() as c:
            open = {}
            begun = 0
            while True:
                while len(open) < PARALLEL and begun < most and resets < 60 and time.monotonic() < self.end:
                    side = Side(c, Plan.make(self.rng, self.rng.choice(self.ways)), self.rng)
                    open[side.stream] = side
                    begun += 1
                if not open:
                    break
                for side in self.rng.sample(list(open.values()), len(open)):
                    side.send()
                    if self.rng.random() < 0.3:
                        side.credit()
                self.read(c, open)
                resets += self.reap(open)
            c.synced()
            if c.window < CONNECTION_WINDOW // 2:
                self.wrong.append(f"{c.window} octets are left of the connection's window, and nothing is under way")
            if self.rng.random() < 0.5:
                c.bye()

    def read(self, c, open):
        """What is there; where nothing can be sent, what comes next."""
        stuck = not any(s.sent is False and min(c.window, c.windows[s.stream]) > 0 for s in open.values())
        for side in open.values() if stuck else ():
            side.credit()
        try:
            f = c.read(0.02 if stuck and not c.buf else 0.0005) if not c.buf else c.read()
        except http2.H2Error:
            self.idle = getattr(self, "idle", 0) + 1
            if self.idle > 3000 * SLOW:
                raise http2.H2Error(f"stuck: {[(s.plan.target, s.sent, len(s.answer.body)) for s in open.values()]}") from None
            return
        self.idle = 0
        if f is None or f.type == http2.GOAWAY:
            raise http2.H2Error(f"connection ended by {f}")
        if f.type == http2.DATA and f.payload:
            c.update(0, len(f.payload))
        fields = c.fields_of(f) if f.type in (http2.HEADERS, http2.CONTINUATION) else None
        if f.stream in open:
            open[f.stream].frame(f, fields)
        if len(c.seen) > 100:
            del c.seen[:-20]

    def reap(self, open):
        done = [s for s in open.values() if s.over]
        for s in done:
            del open[s.stream]
            self.counts[s.plan.service, s.plan.end] += 1
            wrong = s.judge()
            if wrong:
                self.wrong.append(wrong)
            if s.answer.ended and not s.sent and not s.mine:
                s.client.rst(s.stream, http2.NO_ERROR)
        return sum(s.mine for s in done)


def one_by_one(gw, seed, until_time, counts, wrong):
    """HTTP/1.1 to HTTP/2: exchange after exchange on keep-alive connections."""
    rng = random.Random(seed)
    while time.monotonic() < until_time and not wrong:
        with Client(gw.address, timeout=30 * SLOW) as c:
            for _ in range(rng.randrange(1, 20)):
                p = Plan.make(rng, "two")
                try:
                    body = p.up if rng.random() < 0.5 else None
                    if body is None:
                        parts = b"".join(b"%x\r\n%b\r\n" % (len(x), x) for x in p.pieces(p.up, rng))
                        c.send(f"POST {p.target} HTTP/1.1\r\nHost: test.example\r\nTE: trailers\r\nConnection: TE\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n".encode() + parts + b"0\r\n\r\n")
                        answer = c.response()
                    else:
                        answer = c.ask("POST", p.target, {"TE": "trailers", "Connection": "TE"}, body)
                except (OSError, WireError) as e:
                    if p.end not in ("server_resets", "late_reset", "early"):
                        wrong.append(f"{p.target}: {e!r}")
                    break
                counts["h1 " + p.end] += 1
                if p.end in ("server_resets", "late_reset"):
                    if answer.status == 200:
                        wrong.append(f"{p.target}: a broken answer looks whole")
                    break
                if answer.status != 200 or answer.body != p.down or answer.get("X-Seed") != p.seed:
                    wrong.append(f"{p.target}: {answer!r}, {len(answer.body)} octets of {len(p.down)}")
                if p.end == "early":
                    break


def test_streams_at_random(gateway, request):
    """Two connections full of streams, to both kinds of services, and four of HTTP/1.1 to HTTP/2, at once."""
    service, seed = Service(), random.getrandbits(32)
    print("seed", seed)
    with Backend(service.http1, read_body=True) as one, http2.Server(service.http2) as two:
        gw = gateway(SITE, one=one.url, two=two.url)
        end = time.monotonic() + SECONDS
        many = [Many(gw, f"{seed}.{i}", ("one", "two"), end) for i in range(2)]
        counts, wrong = collections.Counter(), []
        threads = [threading.Thread(target=m.run, daemon=True) for m in many] + \
            [threading.Thread(target=one_by_one, args=(gw, f"{seed}-{i}", end, counts, wrong), daemon=True) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(90 * SLOW)
        assert not any(t.is_alive() for t in threads), "stuck"
        wrong += [w for m in many for w in m.wrong] + service.wrong
        assert not wrong, wrong[:3]
        done = sum((m.counts for m in many), counts)
        print(dict(done))
        assert sum(done.values()) > 100 // SLOW
        until(lambda: gw.metric("gateway_endpoint_in_flight") == 0, 10, "in-flight counts of zero")
        until(lambda: gw.metric("gateway_client_connections") == 0, 10, "no connections")
        left = [c.window for c in two.conns if c.peer and not c.eof]
        assert all(n >= CONNECTION_WINDOW for n in left), f"windows leaked: {left}"
