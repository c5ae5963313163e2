#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""usage: chaos.py [--seconds N] [--workers N] [--seed N]      (make chaos)

For N seconds (60) children of a loaded gateway are killed and stopped at random, and configurations reloaded.
What may be lost: requests in flight in a worker that was killed or stopped. Nothing else, and in the end every
process is there, no share is counted as in flight, and the success share is printed. S-NF-2
"""
import argparse
import json
import os
import random
import select
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from gateway import SLOW, Gateway, GatewayError, until  # noqa: E402
from origin import Origin  # noqa: E402
from wire import Client, WireError  # noqa: E402

KINDS = ("keeper", "prober", "logger", "admin", "worker")
SITE = """
    workers = @workers@;
    supervision = { stuck_after = "1s"; respawn_min = "50ms"; respawn_max = "500ms"; };
    services = ( { id = "s"; url = "@origin@"; health = { passive = false; }; timeouts = { first_byte = "60s"; }; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
"""


class Asker(threading.Thread):
    """A client on a keep-alive connection, one request after another. A connection that the gateway closed between
    two requests is opened anew and costs nothing; an answer that does not come whole is a loss."""

    def __init__(self, load):
        super().__init__(daemon=True)
        self.load, self.client = load, None

    def run(self):
        while not self.load.over.is_set():
            try:
                self.turn()
            except (OSError, WireError, ValueError) as e:
                self.drop()
                self.load.lost.append((time.monotonic(), repr(e)))
            time.sleep(self.load.pause)
        self.drop()

    def drop(self):
        if self.client:
            self.client.close()
        self.client = None

    def turn(self):
        if self.client and select.select([self.client.sock], [], [], 0)[0]:
            self.drop()
        if self.client is None:
            self.client = Client(self.load.gw.address, timeout=20 * SLOW)
        answer = self.client.ask("GET", "/512")
        if answer.status != 200 or len(answer.body) != 512:
            raise ValueError(answer.first + repr(answer.body[:200]))
        self.load.count += 1  # near enough: only used as a sign of life and for the share


class Load:
    """with Load(gw) as load: ... load.count, load.lost, load.goes_on()"""

    def __init__(self, gw, clients=12, pause=0.005):
        self.gw, self.pause = gw, pause
        self.over, self.count, self.lost = threading.Event(), 0, []
        self.threads = [Asker(self) for _ in range(clients)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        self.goes_on()
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join(30 * SLOW)

    def goes_on(self, n=50):
        """Waits until n more requests were answered."""
        seen = self.count
        until(lambda: self.count >= seen + n, 20, f"{n} more answers ({self.lost[-3:]})")


def states(gw):
    """{(kind, slot): (pid, state)} as admin tells it; {} while admin itself is away."""
    done = gw.ctl("--json", "workers", check=False)
    if done.returncode != 0:
        return {}
    return {(p["kind"], p["slot"]): (p["pid"], p["state"]) for p in json.loads(done.stdout)["processes"]}


def replaced(gw, kind, old):
    """Waits until a child of this kind that is not `old` is up, and returns its pid."""
    def found():
        return [pid for (k, _), (pid, state) in states(gw).items() if k == kind and state == "up" and pid not in old]
    return until(found, 30, f"another {kind}")[0]


def whole(gw, workers):
    """Waits until every process is up again."""
    def all_up():
        have = states(gw)
        up = [k for (k, _), (_, state) in have.items() if state == "up"]
        return all(up.count(k) == (workers if k == "worker" else 1) for k in KINDS)
    return until(all_up, 30, "all processes to be up")


def in_flight(gw):
    return sum(e.get("in_flight", 0) for e in gw.ctl_json("endpoints", "list")["endpoints"])


def settled(gw):
    """Waits until nothing is counted as in flight, exactly, and stays so."""
    until(lambda: in_flight(gw) == 0, 15, "in-flight counts of zero")
    time.sleep(0.1)
    if in_flight(gw) != 0:
        raise GatewayError(f"in flight without load: {gw.ctl('endpoints', 'list').stdout}")


def strike(gw, kind, signo):
    """Hits one child of this kind, chosen at random; returns its pid, or None."""
    pids = list(gw.children(f"gw-{kind}"))
    if not pids:
        return None
    pid = random.choice(pids)
    try:
        os.kill(pid, signo)
    except ProcessLookupError:
        return None
    return pid


def rampage(seconds, workers):
    """Returns (answered, lost)."""
    with Origin() as origin:
        gw = Gateway(SITE, origin=origin.url, workers=workers)
        with gw, Load(gw, pause=0.002) as load:
            end, hits = time.monotonic() + seconds, 0
            while time.monotonic() < end:
                kind = random.choice(KINDS)
                signo = random.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP))
                lost = len(load.lost)
                pid = strike(gw, kind, signo)
                hits += pid is not None
                if random.random() < 0.5:
                    gw.kill(signal.SIGHUP)
                load.goes_on(20)
                until(lambda pid=pid: pid not in gw.children(), 30, f"{kind} {pid} to be replaced")
                whole(gw, workers)
                if kind != "worker" and len(load.lost) > lost:
                    raise GatewayError(f"{kind} was hit, requests were lost: {load.lost[lost:]}")
            load.over.set()
            for t in load.threads:
                t.join(30)
            settled(gw)
            gw.reload()
            print(f"chaos: {hits} hits")
            return load.count, len(load.lost)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--workers", type=int, default=3)
    p.add_argument("--seed", type=int, default=None)
    args = p.parse_args()
    random.seed(args.seed)
    try:
        answered, lost = rampage(args.seconds, args.workers)
    except GatewayError as e:
        sys.exit(f"chaos: FAILED\n{e}")
    print(f"chaos: {answered} requests answered, {lost} lost in workers that were hit: "
          f"{100 * answered / (answered + lost):.3f} % success")


if __name__ == "__main__":
    main()
