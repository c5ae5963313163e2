# SPDX-License-Identifier: Apache-2.0
"""Loads and looks that latency, storm, overload and modes share: a constant rate (pace.c), what a proxy can take,
its memory over time, and an origin of their own."""
import json
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import configs
import proxies
from proxies import Failed, free_port, release, until
from report import guarded

FULL = .95  # of its core: below it the load was the bottleneck, and what a proxy can take is reckoned


def start_pace(a, port, rate, seconds, connections=64, *more):
    """pace on the load's core. What it prints is for pace_end."""
    return subprocess.Popen(
        ["taskset", "-c", str(a.load_core), a.build / "test/bench/pace", "-r", f"{rate:.3f}", "-d", str(seconds), "-c",
         str(connections), *map(str, more), str(port)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)


def pace_end(process, timeout):
    try:
        out, said = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Failed(f"pace: no end within {timeout:.0f} s") from None
    if process.returncode != 0:
        raise Failed(f"pace: {said}")
    return judged(json.loads(out))


def judged(got):
    """With `errors`: what went wrong. A connection the server ends is none where nothing was lost, and what is
    "unanswered" came too fast to be served: it is in the latencies."""
    return {**got, "errors": got["lost"] + got["bad_status"] + got["refused"]}


def pace(a, port, rate, seconds, connections=64, *more):
    """A constant rate, each latency from when its request was due; microseconds."""
    return pace_end(start_pace(a, port, rate, seconds, connections, *more), seconds * 2 + 20)


def cost(proxy, load):
    """(what load() gave, seconds of CPU a request, how busy the proxy's core was)"""
    before, began = proxy.cpu(), time.monotonic()
    got = load()
    used, took = proxy.cpu() - before, time.monotonic() - began
    if not got["requests"]:
        raise Failed(f"{proxy.name}: no request was answered")
    return got, used / got["requests"], used / took


def saturation(proxy, a, seconds, load=None):
    """Requests a second that one core takes: as many as were answered where the proxy's core was full; else, as the
    load was the bottleneck, as many as fit into a second by their CPU. load(seconds): another than one path's."""
    load = load or (lambda s: proxies.wrk(a.load_core, proxy.url(f"/{a.size}"), 64, s))
    load(1)
    got, each, busy = cost(proxy, lambda: load(seconds))
    return {"rate": got["rps"] if busy >= FULL else 1 / each, "rps": got["rps"], "cpu_us": each * 1e6, "busy": busy,
            "p99": got["p99"], "errors": got["errors"]}


def saturations(kinds, a, port, out):
    """{name: what it takes}; who fails is left out."""
    def take(proxy):
        with started(proxy, a, port):
            return saturation(proxy, a, a.seconds)

    found = {}
    for proxy in kinds:
        got = guarded(out, proxy.name, lambda p=proxy: take(p))
        if got:
            found[proxy.name] = got
            out.step(f"{proxy.name:9} takes {got['rate']:7.0f} requests/s, {got['cpu_us']:.2f} us each")
    return found


def half(found):
    """The rate for all: nobody but the relay, which is no proxy, is above half of what it takes."""
    return min(s["rate"] for n, s in found.items() if n != "relay") / 2


TURNS = """
local at = 0
function request()
	at = (at + 61803) % {n} -- far apart, and all before one comes again
	return wrk.format("GET", "{path}")
end
"""


def wrk_in_turn(proxy, a, n, seconds, connections=64):
    """wrk asking for the paths of n routes in turn."""
    script = proxy.dir / "turns.lua"
    script.write_text(TURNS.format(n=n, path=configs.path_of('" .. at .. "', a.size)))
    return proxies.wrk(a.load_core, proxy.url("/"), connections, seconds, "-s", str(script))


class Watch:
    """Memory and processes of a proxy twice a second: [(seconds, KiB, processes)]."""

    def __init__(self, proxy, every=.5):
        self.proxy, self.every, self.seen = proxy, every, []
        self.done, self.began = threading.Event(), time.monotonic()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def look(self):
        while not self.done.wait(self.every):
            try:
                self.seen.append((time.monotonic() - self.began, self.proxy.memory(), len(self.proxy.pids())))
            except (OSError, TypeError):
                continue  # a process left while it was looked at

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def growth(seen, half):
    """(peak of the first half, peak of the second) of a Watch, in KiB; None where nothing was seen."""
    first, second = ([m for t, m, *_ in seen if (t < half) == early] for early in (True, False))
    return (max(first), max(second)) if first and second else None


@contextmanager
def origin(a):
    """The benchmark's origin on the load's core; its port."""
    port = free_port()
    process = subprocess.Popen(["taskset", "-c", str(a.load_core), a.build / "test/bench/origin", str(port)],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        until(lambda: listening(port), 10, "the origin")
        yield port
    finally:
        process.kill()
        process.wait()
        release(port)


def listening(port):
    """Whether somebody listens there, without a connection."""
    want = f":{port:04X} "
    return any(want in line and line.split()[3] == "0A" for line in Path("/proc/net/tcp").read_text().splitlines()[1:])


@contextmanager
def started(proxy, a, port):
    proxy.start(a.proxy_core, port)
    try:
        yield proxy
    finally:
        proxy.stop()


class Direct:
    """No proxy: the origin itself, measured as if it were one."""
    name = "direct"

    def start(self, _core, origin_port):
        self.port = origin_port

    def stop(self):
        pass


def edited(proxy, *swaps):
    """The proxy with other words in its configuration: (old, new) pairs, the first of each."""
    prepare = proxy.prepare

    def then(origin_port):
        prepare(origin_port)
        conf = proxy.dir / "conf"
        conf.write_text(swapped(proxy, conf.read_text(), swaps))

    proxy.prepare = then
    return proxy


def swapped(proxy, text, swaps):
    for old, new in swaps:
        if old not in text:
            raise Failed(f"{proxy.name}: its configuration has no {old!r}")
        text = text.replace(old, proxy.expand(new), 1)
    return text


def kind_of(pid):
    """What a process of the gateway calls itself."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def cpu_of(pids):
    """Seconds of CPU these processes used so far, their threads included."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def admin(proxy):
    return str(proxy.dir / "run" / "admin.sock")


def own(a, **how):
    """The gateway of this build."""
    found = proxies.gateways(a, **how)
    if not found:
        raise SystemExit(f"bench: no gateway in {a.build}: make all")
    return found[0]


def everyone(a, **how):
    """The gateway first; with --no-peers nobody else."""
    return [own(a, **how), *([proxies.nginx(**how), proxies.haproxy(**how)] if a.peers else [])]
