# SPDX-License-Identifier: Apache-2.0
"""What the benchmark's programs beside `bench` reckon: percentiles, medians, bars, capacity, bounded memory; pace.c
and locked.c by themselves. S-NF-3, F-PERF-03, G-SC-003, G-SC-004"""
import importlib.machinery
import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from argparse import Namespace
from pathlib import Path

import pytest

from gateway import BUILD, until
from origin import Origin
from ports import free_port, release
from redis_server import RedisServer
from wire import Client

BENCH = Path(__file__).resolve().parents[1] / "bench"
sys.path.insert(0, str(BENCH))

import loads  # noqa: E402
import report  # noqa: E402


def program(name):
    """A program of the benchmark as a module."""
    loader = importlib.machinery.SourceFileLoader(f"bench_{name}", str(BENCH / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
    return module


def made(tmp_path, **more):
    return report.Report("test", Namespace(build=tmp_path, results=tmp_path, quick=False, **more))


# --- reckoning ------------------------------------------------------------------------------------
def test_bar_missed_is_exit_code_1_and_unmeasured_is_none(tmp_path):
    """Missed counts, met does not, and what was not measured is said and does not count."""
    out = made(tmp_path)
    out.bar("few", 1, 2, "us")
    out.bar("nothing", None, 2, "us")
    assert out.end() == 0
    out.bar("many", 3, 2, "us")
    assert out.end() == 1
    out = made(tmp_path)
    out.bar("at least", 3, 3, "/s", least=True)
    assert out.end() == 0
    out.bar("at least", 2.9, 3, "/s", least=True)
    assert out.end() == 1
    assert [b["met"] for b in json.loads((tmp_path / "test.json").read_text())["bars"]] == [True, False]
    assert "MISSED" in (tmp_path / "test.txt").read_text()


def test_gateway_that_fails_is_missed_and_a_peer_is_not(tmp_path):
    out = made(tmp_path)
    out.fail("nginx", "no")
    assert out.end() == 0
    out.fail("gateway", "no")
    assert out.end() == 1


def test_errors_are_what_was_lost_and_not_what_came_too_fast():
    got = loads.judged({"lost": 1, "bad_status": 2, "refused": 4, "unanswered": 8, "closed": 16})
    assert got["errors"] == 7


def test_rate_is_half_of_the_least_and_not_of_the_relay():
    assert loads.half({"relay": {"rate": 10}, "gateway": {"rate": 50}, "haproxy": {"rate": 40}}) == 20


def test_growth_compares_halves():
    seen = [(1, 100, 3), (2, 120, 3), (5, 110, 3), (6, 130, 3)]
    assert loads.growth(seen, 4) == (120, 130)
    assert loads.growth(seen[:2], 4) is None


def test_capacity_rounds_up():
    """S-NF-3: 10 us a request is 50,000 a second of a core that is used by half."""
    latency = program("latency")
    assert latency.capacity(10) == [(50_000, 1, 1), (1_000_000, 20, 3)]
    assert latency.capacity(10.1)[0] == (50_000, 2, 1)


def test_p99_of_many_may_be_twice_that_of_few_or_a_little_later(tmp_path):
    """G-SC-004, both ways of the bar."""
    latency = program("latency")

    def met(few, many):
        out = made(tmp_path)
        sample = {n: {"p50": 1, "p99": p, "errors": 0, "unanswered": 0} for n, p in zip(latency.CLIENTS, (few, many))}
        latency.judge({"gateway": [sample], "direct": [sample]}, out)
        return out.bars[0]["met"]

    assert met(100, 5100) and not met(100, 5101)
    assert met(10_000, 20_000) and not met(10_000, 20_001)


def test_added_is_of_the_same_round():
    latency = program("latency")

    def sample(p99):
        return {10: {"p99": p99}}

    samples = {"gateway": [sample(300), sample(900)], "direct": [sample(100), sample(600)]}
    assert latency.added(samples, "gateway", 10) == 250
    assert latency.added({"gateway": [sample(1)]}, "gateway", 10) is None


def test_memory_is_bounded_where_the_second_half_needs_no_more():
    overload = program("overload")
    assert overload.bounded([{"peaks": (10_000, 10_000 + overload.SLACK)}]) == 1
    assert overload.bounded([{"peaks": (10_000, 10_000)}, {"peaks": (10_000, 30_000)}]) > 2
    assert overload.bounded([{"peaks": None}]) is None


def test_factor_is_to_the_gateway_that_changes_as_the_other_does():
    """F-PERF-03"""
    modes = program("modes")
    samples = {"gateway": [{"rps": 100}], "gateway, no changes": [{"rps": 200}], "lock and reloads": [{"rps": 10}],
               "lock, no changes": [{"rps": 50}]}
    assert modes.factors(samples) == {"lock and reloads": 10, "lock, no changes": 4}


def test_row_of_the_other_design_says_what_its_locks_and_reloads_cost():
    """F-PERF-03: the mean of waits for a lock, and of the milliseconds of a reload."""
    modes = program("modes")
    run = {"rps": 10, "p50": 1, "p99": 2, "cpu_us": 3, "busy": .5, "changes": 10, "errors": 1}
    runs = [{**run, "said": (100, 300, 4, 200)}, {**run, "said": (0, 0, 2, 200)}]
    got = dict(zip(modes.HEADS, modes.row("lock", runs)))
    assert (got["waits/lock"], got["reloads"], got["ms each"], got["errors"]) == (1.5, 4, 75, 2)
    assert modes.row("gateway", [run])[7:] == [None, None, None, 1]


def test_changes_are_measured_with_the_program_that_was_asked_for(tmp_path):
    """F-PERF-02: the package's build, or another; where there is none, that is said."""
    changes = program("changes")
    gw = changes.gateways_of(tmp_path / "gateway")("routes = ();")
    assert gw.binary == tmp_path / "gateway"
    release(gw.port)
    shutil.rmtree(gw.dir)
    done = subprocess.run([BENCH / "changes", "--build", BUILD, "--program", tmp_path / "none"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "wrk" in done.stderr or f"there is no {tmp_path}/none" in done.stderr


# --- pace.c ---------------------------------------------------------------------------------------
def pace(port, *more):
    tool = BUILD / "test/bench/pace"
    if not tool.exists():
        pytest.skip("the tools of the benchmark are not built")
    return json.loads(subprocess.run([tool, *map(str, more), str(port)], check=True, capture_output=True, text=True,
                                     timeout=60).stdout)


def test_pace_asks_as_often_as_it_should():
    with Origin() as origin:
        got = pace(origin.port, "-r", 500, "-d", 1, "-w", .2, "-c", 4)
    assert (got["due"], got["answered"], got["unanswered"], got["lost"]) == (500, 500, 0, 0)
    assert got["p50"] <= got["p90"] <= got["p99"] <= got["p999"] <= got["max"]


class Stalling:
    """Answers at once, but for one pause of `stall` seconds after `after` requests."""

    def __init__(self, after, stall, close=False):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.after, self.stall, self.close = self.listener.getsockname()[1], after, stall, close
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.client(client)

    def client(self, client):
        n = 0
        while data := client.recv(65536):
            n += 1
            if n == self.after:
                if self.close:
                    break
                time.sleep(self.stall)
            assert data.endswith(b"\r\n\r\n")
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        client.close()


def test_pace_counts_from_when_a_request_was_due():
    """One answer that takes half a second makes 50 requests late, of which each says so: a client that counts from
    when it sends would have seen one."""
    server = Stalling(after=20, stall=.5)
    got = pace(server.port, "-r", 100, "-d", 2, "-c", 1)
    server.listener.close()
    assert got["answered"] == 200
    assert got["p90"] > 200_000 and got["max"] >= 500_000
    assert got["sent_p99"] > 300_000


def test_pace_says_what_was_lost_and_goes_on():
    server = Stalling(after=20, stall=0, close=True)
    got = pace(server.port, "-r", 100, "-d", 1, "-c", 1)
    server.listener.close()
    assert got["lost"] == 5 or got["lost"] == 4
    assert got["answered"] + got["lost"] == 100 and got["opened"] >= 4


def test_pace_says_what_nobody_answered():
    silent = socket.create_server(("127.0.0.1", 0))
    got = pace(silent.getsockname()[1], "-r", 10, "-d", 1, "-c", 2)
    silent.close()
    assert got["unanswered"] == 10 and got["p50"] > 900_000


# --- locked.c -------------------------------------------------------------------------------------
COMMANDS = ("set", "del", "hget", "hincrby")


def asked(client):
    """How often each of COMMANDS was given; what follows an answer comes a little after it."""
    stats = client.info("commandstats")
    return tuple(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in COMMANDS)


@pytest.mark.parametrize("options", [(), ("-b",), ("-u",), ("-n",)])
def test_locked_takes_a_lock_for_each_request_and_reloads(options):
    """F-PERF-03: the design that is compared does what it is said to do."""
    tool = BUILD / "test/bench/locked"
    if not tool.exists():
        pytest.skip("the tools of the benchmark are not built")
    port = free_port()
    with Origin() as origin, RedisServer() as redis:
        client = redis.client()
        client.hset("routes", "/a/16", origin.port)
        process = subprocess.Popen([tool, *options, str(port), str(redis.port)], stdout=subprocess.PIPE, text=True)
        try:
            until(lambda: loads.listening(port), 10, "locked")
            with Client(("127.0.0.1", port), timeout=10) as http:
                assert [http.ask("GET", "/a/16").status for _ in range(5)] == [200] * 5
                assert http.ask("GET", "/b/16").status == 404
                client.hset("routes", "/b/16", origin.port)
                assert client.publish("routes", "changed") == 1
                until(lambda: http.ask("GET", "/b/16").status == 200, 10, "the reload")
            want = {(): (6, 6, 6, 12), ("-b",): (6, 6, 0, 0), ("-u",): (6, 6, 6, 12), ("-n",): (0, 0, 0, 0)}[options]
            until(lambda: asked(client) == want, 10, lambda: f"{want} of {COMMANDS}: {asked(client)}")
        finally:
            process.terminate()
            words = process.communicate(timeout=10)[0].split()
            release(port)
    locks, reloads, took = (int(words[i]) for i in (0, 7, 10))
    assert reloads == 2 and took < 10_000
    assert locks == want[0]  # 404s need none, and nobody else held it


def test_locked_leaves_half_of_the_time_to_requests():
    """F-PERF-03: where changes come faster than it can read all routes, it still serves."""
    tool = BUILD / "test/bench/locked"
    if not tool.exists():
        pytest.skip("the tools of the benchmark are not built")
    port, stop = free_port(), threading.Event()
    with Origin() as origin, RedisServer() as redis:
        client = redis.client()
        client.hset("routes", mapping={f"/a/{i}/16": origin.port for i in range(5_000)})

        def change():
            while not stop.wait(.001):
                client.publish("routes", "changed")
        process = subprocess.Popen([tool, "-n", str(port), str(redis.port)], stdout=subprocess.PIPE, text=True)
        changes = threading.Thread(target=change)
        try:
            until(lambda: loads.listening(port), 10, "locked")
            changes.start()
            began = time.monotonic()
            with Client(("127.0.0.1", port), timeout=10) as http:
                while time.monotonic() < began + 2:
                    assert http.ask("GET", "/a/7/16").status == 200
            took = time.monotonic() - began
        finally:
            stop.set()
            changes.join()
            process.terminate()
            words = process.communicate(timeout=10)[0].split()
            release(port)
    assert int(words[7]) > 3
    assert int(words[10]) / 1000 < .7 * took + .5  # the first was before
