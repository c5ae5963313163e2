# SPDX-License-Identifier: Apache-2.0
"""Rows of the benchmark besides the first: TLS, HTTP/2, gRPC, WebSockets, memory of idle connections.

A row measures one number of each proxy, the smaller the better, in interleaved runs. Its bar is a number, or
the best of some peers; the gateway's median is held against it.
"""
import re
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Callable

from proxies import free_port, gateways, h2load, haproxy, nghttpx, nginx, wrk

SETTLE = 3  # s until what a burst needed was given back


@dataclass
class Row:
    about: str
    unit: str
    measure: Callable  # (proxy, a) -> number
    bar: float  # at most so many units, or with `than` so many times the best of these
    than: tuple = ()
    peers: tuple = ("nginx", "haproxy")
    tls: bool = True
    origin: str = "origin"
    route: str = ""
    http2: bool = False
    grpc: bool = False
    runs: int = 0  # 0: as many as asked for


def tool(a, name, *args):
    """What a client of ours printed, as numbers."""
    done = subprocess.run(["taskset", "-c", str(a.load_core), a.build / "test/bench" / name, *map(str, args)],
                          capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"bench: {name}: {done.stderr}")
    return [float(n) for n in re.findall(r"[\d.]+", done.stdout)]


def https(proxy, a):
    url = f"https://127.0.0.1:{proxy.port}/{a.size}"
    wrk(a.load_core, url, a.connections, a.warmup)
    before = proxy.cpu()
    got = wrk(a.load_core, url, a.connections, a.seconds)
    if got["errors"]:
        sys.exit(f"bench: {proxy.name}: {got['errors']} errors")
    return (proxy.cpu() - before) / got["requests"] * 1e6


def loaded(proxy, a, path, connections, streams, *more):
    """CPU per request while h2load sends them."""
    url = f"{'https' if proxy.words.get('tls') else 'http'}://127.0.0.1:{proxy.port}{path}"
    h2load(a.load_core, url, connections, streams, f"-D{a.warmup}", *more)
    before = proxy.cpu()
    got = h2load(a.load_core, url, connections, streams, f"-D{a.seconds}", *more)
    if got["errors"]:
        sys.exit(f"bench: {proxy.name}: {got['errors']} errors")
    return (proxy.cpu() - before) / got["requests"] * 1e6


def http2(connections, streams):
    return lambda proxy, a: loaded(proxy, a, f"/{a.size}", connections, streams)


def unary(connections, streams):
    """Each request a message of 128 octets, each answer one of --size."""
    def measure(proxy, a):
        with tempfile.NamedTemporaryFile() as message:
            message.write(struct.pack(">BI", 0, 128) + b"x" * 128)
            message.flush()
            return loaded(proxy, a, f"/bench.Bench/{a.size}", connections, streams, "-d", message.name,
                          "-Hcontent-type: application/grpc", "-Hte: trailers")
    return measure


def handshakes(*options):
    def measure(proxy, a):
        n = a.seconds * 600
        tool(a, "dial", "-t", "-n", 200, proxy.port)
        before = proxy.cpu()
        opened, resumed, _ = tool(a, "dial", "-t", *options, "-n", n, proxy.port)
        if opened != n or resumed != (n if options else 0):
            sys.exit(f"bench: {proxy.name}: {opened:.0f} opened, {resumed:.0f} resumed of {n}")
        # Each thread's first, which is not counted, is a full one.
        return (proxy.cpu() - before) / n * 1e6
    return measure


def websocket(octets):
    def measure(proxy, a):
        tool(a, "ws", "-n", a.connections, "-s", octets, "-d", a.warmup, proxy.port)
        before = proxy.cpu()
        messages, _ = tool(a, "ws", "-n", a.connections, "-s", octets, "-d", a.seconds, proxy.port)
        return (proxy.cpu() - before) / messages * 1e6
    return measure


def idle(*options):
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
                sys.exit(f"bench: {proxy.name} does not take {n} connections")
            time.sleep(SETTLE)
            return (proxy.memory() - before) * 1024 / n
        finally:
            dial.stdin.close()
            dial.wait()
    return measure


BEST = ("nginx", "haproxy")
HTTP2 = dict(bar=1.0, than=(*BEST, "nghttpx"), peers=(*BEST, "nghttpx"), http2=True)
GRPC = dict(HTTP2, origin="h2origin", grpc=True)
REQUEST, CALL = "us of CPU per request", "us of CPU per call"
ROWS = {
    "https": Row("HTTPS, keep-alive", "us of CPU per request", https, 1.0, BEST),
    "full": Row("full handshakes", "us of CPU per handshake", handshakes(), 1.0, BEST),
    "resumed": Row("handshakes resumed by ticket", "us of CPU per handshake", handshakes("-r"), 1.0, BEST),
    "h2c-4x32": Row("HTTP/2 in clear, 4 connections of 32 streams", REQUEST, http2(4, 32), tls=False, **HTTP2),
    "h2c-1x100": Row("HTTP/2 in clear, one connection of 100 streams", REQUEST, http2(1, 100), tls=False, **HTTP2),
    "h2-4x32": Row("HTTP/2 over TLS, 4 connections of 32 streams", REQUEST, http2(4, 32), **HTTP2),
    "h2-1x100": Row("HTTP/2 over TLS, one connection of 100 streams", REQUEST, http2(1, 100), **HTTP2),
    "grpc-4x32": Row("gRPC unary in clear, 4 connections of 32 streams", CALL, unary(4, 32), tls=False, **GRPC),
    "grpc-1x100": Row("gRPC unary in clear, one connection of 100 streams", CALL, unary(1, 100), tls=False, **GRPC),
    "ws64": Row("WebSocket messages of 64 octets, there and back", "us of CPU per message", websocket(64), 1.0,
                ("haproxy",), ("haproxy",), False, "wsecho", "websocket = { enabled = true; };"),
    "ws1024": Row("WebSocket messages of 1 KiB, there and back", "us of CPU per message", websocket(1024), 1.0,
                  ("haproxy",), ("haproxy",), False, "wsecho", "websocket = { enabled = true; };"),
    "idle": Row("idle connections, after one request each", "octets of Pss per connection", idle(), 600,
                tls=False, runs=3),
    "idle-tls": Row("idle TLS connections, after one request each", "octets of Pss per connection", idle("-t"),
                    15 * 1024, runs=3),
}


def kinds(row, a):
    how = {"tls": row.tls, "http2": row.http2, "grpc": row.grpc}
    out = gateways(a, route=row.route, **how)
    if a.peers:
        out += [make(**how) for make in (nginx, haproxy, nghttpx) if make.__name__ in row.peers]
    return out


def verdict(row, medians):
    """(line, met), met is None where something is absent."""
    missing = {"gateway", *row.than} - medians.keys()
    if missing:
        return f"bar: not judged without {' and '.join(sorted(missing))}", None
    if not row.than:
        met = medians["gateway"] <= row.bar
        return f"bar: gateway {medians['gateway']:.0f} {row.unit}, at most {row.bar}: {'met' if met else 'MISSED'}", met
    best = min(row.than, key=medians.get)
    ratio = medians["gateway"] / medians[best]
    met = ratio <= row.bar
    return f"bar: gateway / {best} = {ratio:.3f}, at most {row.bar}: {'met' if met else 'MISSED'}", met


def run_row(row, a):
    """(lines, met, what goes into the JSON)."""
    port = free_port()
    origin = subprocess.Popen(["taskset", "-c", str(a.load_core), a.build / "test/bench" / row.origin, str(port)])
    samples, runs = {}, min(row.runs or a.runs, a.runs)
    try:
        for n in range(runs):
            for proxy in kinds(row, a):
                proxy.start(a.proxy_core, port)
                try:
                    samples.setdefault(proxy.name, []).append(row.measure(proxy, a))
                finally:
                    proxy.stop()
                print(f"  run {n + 1}/{runs} {proxy.name:15} {samples[proxy.name][-1]:9.2f} {row.unit}",
                      file=sys.stderr, flush=True)
    finally:
        origin.kill()
        origin.wait()
    medians = {name: statistics.median(v) for name, v in samples.items()}
    lines = [f"{row.about}: {row.unit}, medians of {runs} interleaved runs",
             f"{'':15} {'median':>11} {'smallest':>11} {'largest':>11}"]
    for name, v in samples.items():
        lines.append(f"{name:15} {medians[name]:11.2f} {min(v):11.2f} {max(v):11.2f}")
    line, met = verdict(row, medians)
    return [*lines, line], met, {"bar": line, "met": met, "medians": medians, "samples": samples}
