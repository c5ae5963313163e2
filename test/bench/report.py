# SPDX-License-Identifier: Apache-2.0
"""What the programs beside `bench` have in common: their arguments, what they print, and their result files.

A bar is met or missed; one that cannot be judged says why and is neither. BUILD/bench/NAME.txt is what was printed,
NAME.json what was measured.
"""
import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import proxies

QUICK = "a first look, not a result"


def parser(doc):
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", type=Path, default=Path("build"), help="where the tools are")
    p.add_argument("--program", type=Path, help="the gateway to measure; default BUILD/gateway")
    p.add_argument("--quick", action="store_true", help=QUICK)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--seconds", type=int, default=5)
    p.add_argument("--size", type=int, default=1024, help="octets of the response's body")
    p.add_argument("--proxy-core", type=int, default=0)
    p.add_argument("--load-core", type=int, default=1)
    p.add_argument("--no-peers", dest="peers", action="store_false", help="without nginx and HAProxy")
    p.add_argument("--results", type=Path, help="directory; default BUILD/bench")
    p.set_defaults(gateway=None, warmup=1)
    return p


def settle(a):
    """Arguments as they are used; exits where nothing right can come of them."""
    a.build = a.build.resolve()
    if a.quick:
        a.runs, a.seconds = min(a.runs, 2), min(a.seconds, 2)
    cores = os.sched_getaffinity(0)
    if not {a.proxy_core, a.load_core} <= cores or a.proxy_core == a.load_core:
        sys.exit(f"bench: needs two cores; this process may use {sorted(cores)}, asked for "
                 f"{a.proxy_core} and {a.load_core}")
    if min(a.runs, a.seconds) < 1:
        sys.exit("bench: needs a run of a second at least")
    os.sched_setaffinity(0, {a.load_core})  # what asks and what changes is no work of the proxy's core
    return a


def met(value, limit, least=False):
    return value >= limit if least else value <= limit


def median(rows, key):
    """Of the samples that have it; None where none has."""
    values = [r[key] for r in rows if r.get(key) is not None]
    return statistics.median(values) if values else None


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


class Report:
    """Lines, figures and bars of one program."""

    def __init__(self, name, a):
        self.name, self.a = name, a
        self.lines, self.figures, self.bars = [], {}, []
        self.began, self.load = time.monotonic(), os.getloadavg()[0]

    def say(self, text=""):
        print(text, flush=True)
        self.lines.append(text)

    def head(self, text):
        self.say(text)
        if self.a.quick:
            self.say(f"({QUICK})")
        if self.load > 0.5:
            self.say(f"(the machine was not idle: load average {self.load:.1f} at the start; latencies suffer most)")

    @staticmethod
    def step(text):
        print(f"  {text}", file=sys.stderr, flush=True)

    def bar(self, what, value, limit, unit, least=False):
        """Judges it; a value of None was not measured."""
        word = "at least" if least else "at most"
        if value is None:
            self.say(f"bar: {what}: not judged, not measured")
        else:
            good = met(value, limit, least)
            self.say(f"bar: {what} {number(value)} {unit}, {word} {number(limit)}: {'met' if good else 'MISSED'}")
            self.bars.append({"what": what, "value": value, "limit": limit, "unit": unit, "least": least, "met": good})

    def fail(self, who, why):
        """Somebody could not be measured: a bar of ours is missed then, a peer is only left out."""
        self.say(f"{who} failed: {str(why).strip()}")
        if who == "gateway":
            self.bars.append({"what": f"{who} measured", "met": False})

    def end(self):
        """Writes the files; the exit code."""
        out = self.a.results or self.a.build / "bench"
        out.mkdir(parents=True, exist_ok=True)
        missed = [b["what"] for b in self.bars if not b["met"]]
        settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(self.a).items()}
        result = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "kernel": platform.release(),
                  "settings": settings, "bars": self.bars, "figures": self.figures}
        (out / f"{self.name}.txt").write_text("\n".join(self.lines) + "\n")
        (out / f"{self.name}.json").write_text(json.dumps(result, indent=1))
        print(f"{self.name}: {time.monotonic() - self.began:.0f} s; {out}/{self.name}.txt, .json; "
              + (f"missed: {', '.join(missed)}" if missed else "no bar missed"), flush=True)
        return 1 if missed else 0


def columns(heads, rows):
    """Lines of a table: the first column to the left, numbers to the right, None left empty."""
    def form(v):
        return "" if v is None else v if isinstance(v, str) else number(v)

    cells = [[*map(str, heads)], *([form(v) for v in row] for row in rows)]
    wide = [max(len(r[i]) for r in cells) for i in range(len(heads))]
    return ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, wide))).rstrip()
            for r in cells]


def guarded(report, who, call):
    """What call() gives, or None where `who` could not be measured."""
    try:
        return call()
    except (proxies.Failed, AssertionError, OSError) as e:
        report.fail(who, e)
        return None
