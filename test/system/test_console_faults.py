# SPDX-License-Identifier: Apache-2.0
"""What happens to instances that follow a console when something breaks: after each fault nothing is lost, every
instance converges, and traffic never noticed. F-CFG-01, F-CFG-02, F-CFG-03, F-INST-02, F-INST-03

Real Redis, real gateways. The console is test/lib/console.py."""
import json
import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
import redis as pyredis

from console import Console, Fleet
from gateway import SANITIZED, SLOW, until
from redis_server import RedisServer, TcpProxy
from wire import WireError, ask

pytestmark = pytest.mark.xdist_group("console")

SITE = """
    http = { generation_header = "X-Generation"; };
    services = ( { id = "s"; url = "@origin@"; } );
    routes = ( { id = "file-route"; path = "/file/*"; service = "s"; } );
"""
FAST = 'reconcile = "1s"; acknowledge = "1s"; acknowledge_expiry = "4s"; ' \
       'timeouts = { connect = "1s"; command = "1s"; }; retry_min = "20ms"; retry_max = "300ms";'


def text_route(path, body):
    return {"path": path, "policies": [{"policy": "fixed_response", "status": 200, "body": body}]}


def fleet_of(port, origin, n=2, workers=2, fast=FAST, config=SITE, **words):
    return Fleet(config, n, redis=f'addresses = "127.0.0.1:{port}"; {fast}', workers=workers,
                 origin=origin, **words)


def served(gw, path, body):
    def good():
        try:
            return gw.ask("GET", path).body == body.encode()
        except (OSError, WireError):
            return False
    return good


def everywhere(fleet, path, body, timeout=10):
    for gw in fleet:
        until(served(gw, path, body), timeout, f"{path} to say {body!r} at {gw.instance}")


def status(gw):
    return json.loads(gw.api("GET", "/api/gateway/v1/status").body)["console"]


def count(gw, what):
    return gw.metric(f"gateway_console_{what}_total")


class Traffic:
    """Requests to every instance's file route while something breaks; none may fail."""

    def __init__(self, fleet):
        self.fleet, self.failed, self.n, self.on = fleet, [], 0, True
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while self.on:
            for gw in self.fleet:
                try:
                    if gw.ask("GET", "/file/x").status != 200:
                        self.failed.append("status")
                except (OSError, WireError) as e:
                    self.failed.append(repr(e))
                self.n += 1
            time.sleep(0.005)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.on = False
        self.thread.join()
        assert not self.failed, self.failed[:3]
        assert self.n > 0


def converged(fleet, console, timeout=20):
    fleet.wait_applied(console, timeout)
    assert console.content_hash() == console.version()["hash"]
    return fleet.wait_same(timeout)


def follow(replica, port):
    """A replica that has caught up with the master on that port; its client."""
    r = replica.client()
    r.replicaof("127.0.0.1", str(port))
    until(lambda: r.info("replication")["master_link_status"] == "up", 10, "the replica to follow")
    return r


def insist(publish, *args, timeout=20, **kw):
    """Publishes again and again until Redis takes it."""
    def tried():
        try:
            return publish(*args, **kw)
        except (pyredis.ConnectionError, pyredis.TimeoutError, pyredis.BusyLoadingError):
            return None
    return until(tried, timeout, "Redis to take a change")


def test_killed_in_mid_burst(backend):
    """Redis is killed and comes back, twice, while 200 changes are published."""
    with RedisServer(args=["--appendonly", "yes", "--appendfsync", "always"]) as server, \
            fleet_of(server.port, backend().url, 3, 4) as fleet, Traffic(fleet):
        console = Console(server.client())
        for i in range(200):
            insist(console.put, "route", f"r{i % 40}", text_route(f"/r{i % 40}", f"v{i}"))
            if i in (70, 140):
                server.kill()
                server.start()
        converged(fleet, console)
        for i in range(160, 200):
            everywhere(fleet, f"/r{i % 40}", f"v{i}")


def test_lagging_replica_takes_over(backend):
    """A replica that had not seen the last changes becomes master: the number goes back, and what it has
    is what holds."""
    with RedisServer() as master, TcpProxy(master.port) as between, RedisServer() as replica, \
            TcpProxy(master.port) as proxy:
        r = follow(replica, between.port)
        with fleet_of(proxy.port, backend().url) as fleet, Traffic(fleet):
            console = Console(master.client())
            console.put("route", "a", text_route("/a", "kept"))
            until(lambda: r.hget(console.key("version"), "number") == "1", 10, "replication")
            between.blackhole(True)
            for i in range(20):
                console.put("route", "b", text_route("/b", f"lost{i}"))
            everywhere(fleet, "/b", "lost19")
            r.replicaof("NO", "ONE")
            assert r.hget(console.key("version"), "number") == "1"
            master.kill()
            proxy.retarget(replica.port)
            console = Console(r)
            until(lambda: all(gw.ask("GET", "/b").status == 404 for gw in fleet), 20, "the lost route to go")
            everywhere(fleet, "/a", "kept")
            console.put("route", "c", text_route("/c", "after"))
            converged(fleet, console)
            everywhere(fleet, "/c", "after")


def test_flushed(backend):
    """An empty Redis is not an empty configuration; a small new one deletes only when it is marked."""
    with RedisServer() as server, fleet_of(server.port, backend().url) as fleet, Traffic(fleet):
        console = Console(server.client())
        for i in range(20):
            console.put("route", f"r{i}", text_route(f"/r{i}", "here"))
        converged(fleet, console)
        server.client().flushall()
        time.sleep(2.5 * SLOW)  # more than two reconciles: nothing may happen
        everywhere(fleet, "/r7", "here")
        for gw in fleet:
            assert status(gw)["in_sync"] is False
        console = Console(server.client())
        console.put("route", "r0", text_route("/r0", "again"))
        until(lambda: all((console.ack(gw.instance) or {}).get("errors") for gw in fleet), 10,
              "the refusal in the acknowledgements")
        everywhere(fleet, "/r7", "here")
        server.client().hset(console.key("version"), "allow_deletions", console.number)
        console.ring()
        until(lambda: all(gw.ask("GET", "/r7").status == 404 for gw in fleet), 10, "the deletions")
        converged(fleet, console)
        everywhere(fleet, "/r0", "again")


def test_cut_silently(backend):
    """Packets to and from Redis vanish; the instance notices by itself and catches up."""
    with RedisServer() as server, TcpProxy(server.port) as proxy, \
            fleet_of(proxy.port, backend().url) as fleet, Traffic(fleet):
        console = Console(server.client())
        console.put("route", "a", text_route("/a", "one"))
        converged(fleet, console)
        proxy.blackhole(True)
        console.put("route", "a", text_route("/a", "two"))
        for gw in fleet:
            until(lambda gw=gw: status(gw)["state"] != "live", 15, "the silence to be noticed")
            assert gw.ask("GET", "/a").body == b"one"
        proxy.blackhole(False)
        converged(fleet, console)
        everywhere(fleet, "/a", "two")


def test_lost_messages(backend):
    """No bell at all: the timer finds it."""
    with RedisServer() as server, fleet_of(server.port, backend().url) as fleet, Traffic(fleet):
        console = Console(server.client())
        for i in range(5):
            console.put("route", "a", text_route("/a", f"v{i}"), bell=False)
            converged(fleet, console)
        everywhere(fleet, "/a", "v4")


def test_trimmed_stream(backend):
    """What an instance missed is no longer in the stream: it compares everything."""
    with RedisServer() as server, TcpProxy(server.port) as proxy, \
            fleet_of(proxy.port, backend().url) as fleet, Traffic(fleet):
        console = Console(server.client())
        for i in range(10):
            console.put("route", f"r{i}", text_route(f"/r{i}", "old"))
        converged(fleet, console)
        proxy.cut()
        proxy.refuse(True)
        for i in range(10):
            console.put("route", f"r{i}", text_route(f"/r{i}", "new"))
        console.delete("route", "r3")
        server.client().xtrim(console.key("changes"), maxlen=0, approximate=False)
        proxy.refuse(False)
        converged(fleet, console)
        everywhere(fleet, "/r9", "new")
        assert all(gw.ask("GET", "/r3").status == 404 for gw in fleet)
        assert all(count(gw, "snapshots") >= 1 for gw in fleet)


def test_full(backend):
    """Redis takes no writes: acknowledgements fail and are counted, reading goes on."""
    with RedisServer() as server, fleet_of(server.port, backend().url) as fleet, Traffic(fleet):
        r = server.client()
        console = Console(r)
        console.put("route", "a", text_route("/a", "one"))
        converged(fleet, console)
        r.config_set("maxmemory-policy", "noeviction")
        r.config_set("maxmemory", 1)
        before = [count(gw, "failures") for gw in fleet]
        until(lambda: all(count(gw, "failures") > b for gw, b in zip(fleet, before)), 10, "failures to be counted")
        everywhere(fleet, "/a", "one")
        r.config_set("maxmemory", 0)
        console.put("route", "a", text_route("/a", "two"))
        converged(fleet, console)


def test_read_only(backend):
    """A replica that refuses writes is good enough to read from."""
    with RedisServer() as master, RedisServer() as replica:
        follow(replica, master.port)
        with fleet_of(replica.port, backend().url) as fleet, Traffic(fleet):
            console = Console(master.client())
            console.put("route", "a", text_route("/a", "one"))
            everywhere(fleet, "/a", "one")
            console.put("route", "a", text_route("/a", "two"))
            everywhere(fleet, "/a", "two")
            until(lambda: all(count(gw, "failures") > 0 for gw in fleet), 10, "the refused acknowledgements")
            assert "READONLY" in status(fleet[0])["error"]


def test_asks_for_a_password(backend):
    """AUTH is switched on behind its back: away, with words, and back when it is off."""
    with RedisServer() as server, fleet_of(server.port, backend().url) as fleet, Traffic(fleet):
        r = server.client()
        console = Console(r)
        console.put("route", "a", text_route("/a", "one"))
        converged(fleet, console)
        r.config_set("requirepass", "letmein")
        r.execute_command("AUTH", "letmein")
        r.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        r.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        for gw in fleet:
            until(lambda gw=gw: "NOAUTH" in status(gw)["error"], 10, "the words")
            assert status(gw)["state"] != "live"
        r = server.client(password="letmein")  # lint: no secret
        r.config_set("requirepass", "")
        console = Console(server.client())
        console.put("route", "a", text_route("/a", "two"))
        converged(fleet, console)


@pytest.mark.skipif(SANITIZED, reason="reading 256 MB takes minutes with sanitizers")
def test_larger_than_can_be_read(backend):
    """More than a reply may hold: what is in force stays and the reason is said, here and to the console's author;
    when it is mended, it comes in."""
    patient = FAST.replace('command = "1s"', 'command = "60s"')  # reading so much takes its time
    with RedisServer() as server, fleet_of(server.port, backend().url, n=1, fast=patient) as fleet, Traffic(fleet):
        client = server.client()
        console = Console(client)
        console.put("route", "one", text_route("/one", "yes"))
        everywhere(fleet, "/one", "yes")
        for i in range(3):
            client.hset(console.key("objects"), f"route/large{i}", "x" * (100 << 20))
        client.delete(console.key("changes"))
        console.put("route", "one", text_route("/one", "again"), stream=False)
        until(lambda: "a reply of more than" in status(fleet[0])["error"], 20, "the reason")
        until(lambda: any("a reply of more than" in e["error"] for e in console.ack("gw0")["errors"]), 20, "the acknowledgement")
        assert fleet[0].ask("GET", "/one").body == b"yes"
        client.hdel(console.key("objects"), *(f"route/large{i}" for i in range(3)))
        everywhere(fleet, "/one", "again", 20)
        fleet.wait_applied(console)
        assert status(fleet[0])["error"] == ""


def test_bad_objects(backend):
    """Invalid JSON, an unknown schema, a dangling reference, an unknown field: each is refused and reported, the
    rest is applied; mended, they come in."""
    with RedisServer() as server, fleet_of(server.port, backend().url) as fleet, Traffic(fleet):
        console = Console(server.client())
        console.publish([
            ("put", "route", "good", text_route("/good", "yes")),
            ("put", "route", "json", '{"schema": 1, "value": {"path": '),
            ("put", "route", "schema", json.dumps({"schema": 99, "value": text_route("/schema", "no")})),
            ("put", "route", "dangling", {"path": "/dangling", "service": "later"}),
            ("put", "route", "field", {"path": "/field", "colour": "green"}),
        ])
        everywhere(fleet, "/good", "yes")
        for gw in fleet:
            ack = until(lambda gw=gw: (lambda a: a if a and len(a["errors"]) == 4 else None)(
                console.ack(gw.instance)), 10, "four errors in the acknowledgement")
            assert {e["id"] for e in ack["errors"]} == {"json", "schema", "dangling", "field"}
            assert "colour" in json.dumps(ack["errors"])
            assert status(gw)["refused"] == 4
        console.put("service", "later", {"url": fleet[0].words["origin"]})
        for gw in fleet:
            until(lambda gw=gw: gw.ask("GET", "/dangling").status == 200, 10, "the route whose service came")
        console.publish([("put", "route", i, text_route(f"/{i}", "mended")) for i in ("json", "schema", "field")])
        for i in ("json", "schema", "field"):
            everywhere(fleet, f"/{i}", "mended")
        converged(fleet, console)
        assert all(console.ack(gw.instance)["errors"] == [] for gw in fleet)


def test_ten_thousand_at_once(backend):
    """10,000 changes in one transaction while nobody listens, 10,000 in twenty, and 2,000 one by one, as fast as they
    can be written."""
    with RedisServer() as server, TcpProxy(server.port) as proxy, \
            fleet_of(proxy.port, backend().url) as fleet, Traffic(fleet):
        console = Console(server.client())

        def puts(word, lo, hi):
            return [("put", "route", f"r{i % 3000}", text_route(f"/r{i % 3000}", f"{word}{i}")) for i in range(lo, hi)]

        console.publish(puts("first", 0, 10))
        converged(fleet, console)
        proxy.cut()
        proxy.refuse(True)
        console.publish(puts("one", 0, 10000))
        proxy.refuse(False)
        converged(fleet, console, 60)
        everywhere(fleet, "/r999", "one9999")
        for lo in range(0, 10000, 500):
            console.publish(puts("twenty", lo, lo + 500))
        for i in range(2000):
            console.publish(puts("single", i, i + 1))
        converged(fleet, console, 60)
        everywhere(fleet, "/r999", "single999")
        everywhere(fleet, "/r2999", "twenty8999")
        assert json.loads(fleet[0].api("GET", "/api/gateway/v1/routes?limit=1").body)["total"] == 3001


def test_two_consoles(backend):
    """Two authors write at once: no change is lost, and the hash is right."""
    with RedisServer() as server, fleet_of(server.port, backend().url) as fleet, Traffic(fleet):
        def author(k):
            console = Console(server.client(), author=f"console {k}")
            for i in range(100):
                console.put("route", f"c{k}-{i % 10}", text_route(f"/c{k}-{i % 10}", f"v{i}"))

        threads = [threading.Thread(target=author, args=(k,)) for k in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        console = Console(server.client())
        assert int(console.version()["number"]) == 200
        converged(fleet, console)
        for k in range(2):
            for i in range(90, 100):
                everywhere(fleet, f"/c{k}-{i % 10}", f"v{i}")


def test_order_is_random(backend):
    """1,000 changes at random, put and deleted, to routes and weights: byte-equal configurations, no failed
    request."""
    rng = random.Random(3)
    with RedisServer() as server, fleet_of(server.port, backend().url, 3, 4) as fleet, Traffic(fleet):
        console = Console(server.client())
        console.put("service", "w", {"endpoints": [{"url": fleet[0].words["origin"]}]})
        model = {}
        for i in range(1000 if not SANITIZED else 200):
            id = f"r{rng.randrange(60)}"
            dice = rng.random()
            if dice < 0.1:
                console.put("service", "w", {"endpoints": [{"url": fleet[0].words["origin"],
                                                            "weight": rng.randrange(1, 100)}]})
            elif dice < 0.25:
                console.delete("route", id)
                model.pop(id, None)
            else:
                model[id] = f"v{i}"
                console.put("route", id, text_route(f"/{id}", model[id]))
        converged(fleet, console, 40)
        for id, body in model.items():
            everywhere(fleet, f"/{id}", body)
        have = {r["id"] for r in json.loads(fleet[0].api("GET", "/api/gateway/v1/routes?limit=1000").body)["routes"]}
        assert have == set(model) | {"file-route"}


@pytest.mark.skipif(SANITIZED, reason="faketime and sanitizers both want to be loaded first")
def test_clock_skew(backend):
    """An instance three days ahead and one a year behind follow as the others do."""
    library = next((p for p in ("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
                                "/usr/lib64/faketime/libfaketime.so.1",
                                "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1") if os.path.exists(p)), None)
    if library is None:
        pytest.skip("libfaketime is not installed")
    litter = set(Path("/dev/shm").glob("*faketime*"))
    with RedisServer() as server:
        fleet = fleet_of(server.port, backend().url, 3)
        for gw, skew in zip(fleet, (None, "+3d", "-1y")):
            if skew:
                gw.env.update(LD_PRELOAD=library, FAKETIME=skew, FAKETIME_DONT_FAKE_MONOTONIC="1")
        with fleet, Traffic(fleet):
            console = Console(server.client())
            for i in range(20):
                console.put("route", "a", text_route("/a", f"v{i}"))
            converged(fleet, console)
            everywhere(fleet, "/a", "v19")
            ahead, behind = (fleet[i].api("GET", "/api/gateway/v1/generations?limit=1").json()["generations"][0]["time"]
                             for i in (1, 2))
            assert behind[:4] < time.strftime("%Y") and ahead[:10] > time.strftime("%Y-%m-%d", time.gmtime())
    for path in set(Path("/dev/shm").glob("*faketime*")) - litter:  # what the library leaves of processes that _exit
        path.unlink(missing_ok=True)


# after_document lies between two documents, and the console has one with the keeper at a time.
KEEPER_STEPS = ("after_journal", "after_compile", "before_commit", "after_commit", "after_publish",
                "before_fold", "after_fold", "before_answer")


def killed_at(backend, process, step):
    """Changes while the first process of a kind dies at a step."""
    with RedisServer() as server:
        fleet = fleet_of(server.port, backend().url)
        fleet[0].env[f"GATEWAY_TEST_{process.upper()}_STOP"] = f"{step}:once"
        fleet[0].allow_crash = f"{process}.*signal 9"
        with fleet, Traffic(fleet):
            console = Console(server.client())
            for i in range(6):
                console.put("route", f"r{i % 3}", text_route(f"/r{i % 3}", f"v{i}"))
            converged(fleet, console, 30)
            for i in range(3, 6):
                everywhere(fleet, f"/r{i % 3}", f"v{i}")
            fleet[0].wait_log(f"{process}.*signal 9")


@pytest.mark.parametrize("step", KEEPER_STEPS)
def test_keeper_killed_at(backend, step):
    """The keeper dies at each step of an apply: its successor finishes what was begun."""
    killed_at(backend, "keeper", step)


REDIS_STEPS = ("before_read", "after_read", "before_change", "after_change", "before_acknowledge",
               "after_acknowledge")


@pytest.mark.parametrize("step", REDIS_STEPS)
def test_watcher_killed_at(backend, step):
    """The redis process dies between any two steps: its successor goes on where the keeper stands."""
    killed_at(backend, "redis", step)


def test_killed_at_random(backend):
    """Keeper, redis process, admin and workers are killed again and again while changes come in."""
    rng = random.Random(11)
    with RedisServer() as server, fleet_of(server.port, backend().url) as fleet:
        console = Console(server.client())
        for i in range(60):
            console.put("route", f"r{i % 12}", text_route(f"/r{i % 12}", f"v{i}"))
            if i % 6 == 5:
                gw = fleet[rng.randrange(2)]
                try:
                    os.kill(gw.child("gw-" + rng.choice(("keeper", "redis", "admin", "worker"))), signal.SIGKILL)
                except ProcessLookupError:
                    pass
        converged(fleet, console, 60)
        for i in range(48, 60):
            everywhere(fleet, f"/r{i % 12}", f"v{i}")


def test_cold_start_without_redis(backend):
    """The run directory is gone and so is Redis: the last good configuration is served, and it says so in status,
    log and metric. F-INST-03"""
    with RedisServer() as server, fleet_of(server.port, backend().url, 1) as fleet:
        gw = fleet[0]
        console = Console(server.client())
        console.put("route", "a", text_route("/a", "kept"))
        assert gw.api("PUT", "/api/gateway/v1/routes/b", json.dumps(text_route("/b", "admin's")).encode(),
                      (("Content-Type", "application/json"),)).status == 201
        converged(fleet, console)
        gw.stop()
        server.stop()
        shutil.rmtree(gw.dir / "run")
        (gw.dir / "error.log").unlink()
        gw.start()
        assert gw.ask("GET", "/a").body == b"kept"
        assert gw.ask("GET", "/b").body == b"admin's"
        assert status(gw)["state"] == "connecting"
        assert status(gw)["number"] == 1
        assert gw.metric("gateway_console_connected") == 0
        gw.wait_log("last good configuration")
        server.start()
        console = Console(server.client())
        console.put("route", "a", text_route("/a", "new"))
        converged(fleet, console)
        everywhere(fleet, "/a", "new")
        assert gw.ask("GET", "/b").body == b"admin's"
        assert gw.metric("gateway_console_connected") == 1


def test_nothing_of_it_without_redis(gateway, backend):
    """No addresses: no process, no connection, no wait, no word."""
    gw = gateway(SITE, origin=backend().url)
    assert gw.children("redis") == {}
    assert "redis" not in gw.error_log()
    assert status(gw)["state"] == "off"


def test_start_does_not_wait(gateway, backend):
    """Redis is configured and away: ready all the same."""
    from ports import free_port
    began = time.monotonic()
    gw = gateway(f'redis = {{ addresses = "127.0.0.1:{free_port()}"; {FAST} }};\n' + SITE, origin=backend().url)
    assert time.monotonic() - began < 5 * SLOW
    assert gw.ask("GET", "/file/x").status == 200
    assert status(gw)["state"] == "connecting"
    assert ask(gw.address, "GET", "/health").status == 200
