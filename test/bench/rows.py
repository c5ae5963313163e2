# SPDX-License-Identifier: Apache-2.0
"""The rows of the benchmark. A row measures one number of each proxy, the smaller the better, in interleaved runs;
its bars are held against the gateway's median. One more is one more entry in ROWS.
"""
import re
import resource
import statistics
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from typing import Callable

import configs
import proxies
from proxies import Failed, gateways, h2load, wrk
from verdict import RELAY, Bar

SETTLE = 3  # s until what a burst needed was given back
ROUTES = 100000


class Turns:
    """Microseconds of CPU for each request of a load. All proxies of the row stand, and each has the load for a
    second at a time, so that a slow spell of the machine meets all of them alike."""

    SECONDS = 1

    def __init__(self, load):
        self.load = load

    def turn(self, proxy, a):
        before, began = proxy.cpu(), time.monotonic()
        got = self.load(proxy, a, self.SECONDS)
        return {**got, "cpu": proxy.cpu() - before, "took": time.monotonic() - began}

    def sample(self, proxy, turns):
        """What a round found."""
        total = {k: sum(t[k] for t in turns) for k in ("requests", "errors", "cpu", "took")}
        if not total["requests"]:
            raise Failed(f"no request was answered, {total['errors']} errors")
        usual = {k: statistics.median(t[k] for t in turns) for k in ("rps", "p50", "p99") if k in turns[0]}
        return {**usual, "requests": total["requests"], "errors": total["errors"],
                "value": total["cpu"] / total["requests"] * 1e6, "busy": total["cpu"] / total["took"],
                "pss_kib": proxy.memory()}


@dataclass(frozen=True)
class Row:
    about: str
    unit: str
    measure: Callable | Turns  # (proxy, a) -> {value, and what else is worth printing}
    bars: tuple
    beside: tuple = ("nginx", "haproxy")  # measured in the same run; names of MAKERS
    how: dict = field(default_factory=dict)  # the work, as the makers in proxies.py know it
    origin: str = "origin"
    runs: int = 0  # 0: as many as asked for
    takes: float = 0  # s a run needs beyond its start, warm-up and load


# --- loads: (proxy, a, seconds) -> {requests, errors, ...} ----------------------------------------

def web(connections=64, path="", *more):
    """wrk, over as many connections and for as many octets as the row says or --connections and --size do."""
    def load(proxy, a, seconds):
        return wrk(a.load_core, proxy.url(path or f"/{a.size}"), a.connections or connections, seconds, *more)
    return load


def routed(n):
    """So many of all the routes, in turn."""
    def load(proxy, a, seconds):
        return wrk(a.load_core, proxy.url("/"), a.connections or 64, seconds, "routes", n, ROUTES, a.size)
    return load


def streams(connections, each):
    return lambda proxy, a, seconds: h2load(a.load_core, proxy.url(f"/{a.size}"), connections, each, f"-D{seconds}")


def unary(connections, each):
    """Each request a message of 128 octets, each answer one of --size."""
    def load(proxy, a, seconds):
        with tempfile.NamedTemporaryFile() as message:
            message.write(struct.pack(">BI", 0, 128) + b"x" * 128)
            message.flush()
            return h2load(a.load_core, proxy.url(f"/bench.Bench/{a.size}"), connections, each, f"-D{seconds}", "-d",
                          message.name, "-Hcontent-type: application/grpc", "-Hte: trailers")
    return load


def tool(a, name, *args):
    """What a client of ours printed, as numbers."""
    done = subprocess.run(["taskset", "-c", str(a.load_core), a.build / "test/bench" / name, *map(str, args)],
                          capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise Failed(f"{name}: {done.stderr}")
    return [float(n) for n in re.findall(r"[\d.]+", done.stdout)]


def handshakes(*options):
    def load(proxy, a, seconds):
        n = seconds * 600
        opened, resumed, took = tool(a, "dial", "-t", *options, "-n", n, proxy.port)
        # Each thread's first, which is not counted, is a full one.
        if opened != n or resumed != (n if options else 0):
            raise Failed(f"{opened:.0f} opened, {resumed:.0f} resumed of {n}")
        return {"requests": n, "rps": n / took, "errors": 0}
    return load


def messages(octets):
    def load(proxy, a, seconds):
        n, took = tool(a, "ws", "-n", a.connections or 64, "-s", octets, "-d", seconds, proxy.port)
        return {"requests": n, "rps": n / took, "errors": 0}
    return load


# --- measures -------------------------------------------------------------------------------------

def idle(*options):
    """Octets of Pss that each of many connections adds."""
    def measure(proxy, a):
        n = min(10000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 2000)
        tool(a, "dial", *options, "-n", 1000, proxy.port)  # what is made once is there
        tool(a, "dial", *options, "-k", "-n", 64, proxy.port)
        time.sleep(SETTLE)
        before = proxy.memory()
        dial = subprocess.Popen(["taskset", "-c", str(a.load_core), a.build / "test/bench/dial", *options, "-k", "-n",
                                 str(n), str(proxy.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if not dial.stdout.readline().startswith(f"{n} opened"):
                raise Failed(f"does not take {n} connections")
            time.sleep(SETTLE)
            return {"value": (proxy.memory() - before) * 1024 / n, "errors": 0}
        finally:
            dial.stdin.close()
            dial.wait()
    return measure


# --- the table ------------------------------------------------------------------------------------
# Who can be measured beside the gateway. (a, how) -> Proxy
MAKERS = {
    "relay": lambda a, how: proxies.relay(a),
    "nginx": lambda a, how: proxies.nginx(**how),
    "haproxy": lambda a, how: proxies.haproxy(**how),
    "nghttpx": lambda a, how: proxies.nghttpx(**how),
    # They add no header.
    "nginx-plain": lambda a, how: proxies.nginx("nginx-plain", **how, headers=""),
    "haproxy-plain": lambda a, how: proxies.haproxy("haproxy-plain", **how, headers=""),
    # The gateway with one route for everything, asked for the same paths.
    "one-route": lambda a, how: one_route(a, how),
}
PLAIN = ("nginx-plain", "haproxy-plain")
PEERS = ("nginx", "haproxy", "nghttpx", *PLAIN)
BEST = ("nginx", "haproxy")
BETTER = (Bar(1.0, BEST),)
BESTS = (Bar(1.0, (*BEST, "nghttpx")),)
FLOOR = ("relay", *BEST)
H2 = (*BEST, "nghttpx")
TLS, H2C, H2TLS, GRPC = {"tls": True}, {"http2": True}, {"tls": True, "http2": True}, {"http2": True, "grpc": True}
WS = {"how": {"route": "websocket = { enabled = true; };"}, "origin": "wsecho"}
REQUEST, CALL, SHAKE = "us of CPU per request", "us of CPU per call", "us of CPU per handshake"
MESSAGE, EACH = "us of CPU per message", "octets of Pss per connection"

ROWS = {
    "forward": Row("keep-alive, 64 connections", REQUEST, Turns(web()), (Bar(1.15, RELAY), *BETTER), (*FLOOR, *PLAIN)),
    "forward-512": Row("keep-alive, 512 connections", REQUEST, Turns(web(512)), (Bar(1.20, RELAY), *BETTER), FLOOR),
    "route": Row(f"{ROUTES:,} routes, one of them asked for, 64 connections", REQUEST, Turns(routed(1)),
                 (Bar(1.03, ("one-route",)), *BETTER), ("relay", "one-route", *BEST), {"routes": ROUTES}, takes=4),
    "routes": Row(f"{ROUTES:,} routes, 1,000 of them asked for in turn, 64 connections", REQUEST, Turns(routed(1000)),
                  (Bar(1.03, ("one-route",)), *BETTER), ("relay", "one-route", *BEST), {"routes": ROUTES}, takes=4),
    "routes-all": Row(f"{ROUTES:,} routes, all asked for in turn (no core's cache has them), 64 connections", REQUEST,
                      Turns(routed(ROUTES)), (Bar(1.20, ("one-route",)), *BETTER), ("relay", "one-route", *BEST),
                      {"routes": ROUTES}, takes=4),
    "logged": Row("access log, metrics, request id, trace context; 64 connections", REQUEST, Turns(web()),
                  (Bar(1.20, RELAY), *BETTER), FLOOR, {"log": True}),
    "post": Row("POST of 64 KiB, 64 connections", REQUEST, Turns(web(64, "/16", "post", 65536)), BETTER, FLOOR,
                {"bulk": True}),
    "download": Row("download of 10 MiB, 16 connections", REQUEST, Turns(web(16, "/10485760")), BETTER, FLOOR,
                    {"bulk": True}),
    "close": Row("a connection per request, 64 at a time", REQUEST, Turns(web(64, "", "-HConnection: close")), BETTER,
                 FLOOR),
    "https": Row("HTTPS, keep-alive, 64 connections", REQUEST, Turns(web()), BETTER, how=TLS),
    "full": Row("full handshakes", SHAKE, Turns(handshakes()), BETTER, how=TLS),
    "resumed": Row("handshakes resumed by ticket", SHAKE, Turns(handshakes("-r")), BETTER, how=TLS),
    "h2c-4x32": Row("HTTP/2 in clear, 4 connections of 32 streams", REQUEST, Turns(streams(4, 32)), BESTS, H2, H2C),
    "h2c-1x100": Row("HTTP/2 in clear, one connection of 100 streams", REQUEST, Turns(streams(1, 100)), BESTS, H2, H2C),
    "h2-4x32": Row("HTTP/2 over TLS, 4 connections of 32 streams", REQUEST, Turns(streams(4, 32)), BESTS, H2, H2TLS),
    "h2-1x100": Row("HTTP/2 over TLS, one connection of 100 streams", REQUEST, Turns(streams(1, 100)), BESTS, H2,
                    H2TLS),
    "grpc-4x32": Row("gRPC unary in clear, 4 connections of 32 streams", CALL, Turns(unary(4, 32)), BESTS, H2, GRPC,
                     "h2origin"),
    "grpc-1x100": Row("gRPC unary in clear, one connection of 100 streams", CALL, Turns(unary(1, 100)), BESTS, H2, GRPC,
                      "h2origin"),
    "ws64": Row("WebSocket messages of 64 octets, there and back", MESSAGE, Turns(messages(64)),
                (Bar(1.0, ("haproxy",)),), ("relay", "haproxy"), **WS),
    "ws1024": Row("WebSocket messages of 1 KiB, there and back", MESSAGE, Turns(messages(1024)),
                  (Bar(1.0, ("haproxy",)),), ("relay", "haproxy"), **WS),
    "idle": Row("idle connections, after one request each", EACH, idle(), (Bar(600),), runs=3, takes=10),
    "idle-tls": Row("idle TLS connections, after one request each", EACH, idle("-t"), (Bar(15 * 1024),), how=TLS,
                    runs=3, takes=14),
    "idle-h2c": Row("idle HTTP/2 connections in clear, after one request each", EACH, idle("-2"), (Bar(16 * 1024),),
                    H2, H2C, runs=3, takes=10),
}


def one_route(a, how):
    """The gateway whose 100,000 routes are judged, with one."""
    own = gateways(a, **{**how, "routes": 0})[0]
    own.name, own.words["probe"] = "one-route", configs.path_of(0, how["size"])
    return own


def beside(row, a):
    """Names of who is measured beside the gateway."""
    left = () if a.peers and a.plain else PLAIN if a.peers else PEERS
    return [n for n in row.beside if n not in left]


def kinds(row, a):
    """What is measured, in the order of a round."""
    how = {**row.how, "size": a.size} if row.how.get("routes") else row.how
    own = gateways(a, **how)
    made = {n: MAKERS[n](a, how) for n in beside(row, a) if n != "one-route" or own}
    first = [made.pop("relay")] if "relay" in made else []
    return [*first, *own, *made.values()]
