#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""usage: torture_reload.py [--reloads N] [--workers N]      (make torture-reload)

N reloads (1,000) of changing configurations under full load: wrk, keep-alive connections that ask at odd
times, long downloads from the first reload to the last. Not one request may fail, not one connection be
closed, not one worker be replaced, and generations only grow. C-4, R-8.1, S-AD-2
"""
import argparse
import hashlib
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from backend import Backend  # noqa: E402
from gateway import SLOW, Gateway, GatewayError, until  # noqa: E402
from origin import Origin  # noqa: E402
from ports import free_port  # noqa: E402
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

    def __init__(self, address, stop):
        super().__init__(daemon=True)
        self.client, self.stop_event = Client(address, timeout=30 * SLOW), stop
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

    def __init__(self, address, path):
        super().__init__(daemon=True)
        self.client, self.path = Client(address, timeout=60 * SLOW), path
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


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--reloads", type=int, default=1000)
    p.add_argument("--workers", type=int, default=4)
    args = p.parse_args()
    try:
        figures = torture(args.reloads, args.workers)
    except GatewayError as e:
        sys.exit(f"torture-reload: FAILED\n{e}")
    print(f"torture-reload: {figures['reloads']} reloads, {figures['requests']} requests, none failed, no connection "
          f"closed; {figures['ms_per_reload']:.1f} ms a reload")


if __name__ == "__main__":
    main()
