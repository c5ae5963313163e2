# SPDX-License-Identifier: Apache-2.0
"""The console from end to end: the reference publisher, real Redis, three instances with four workers each."""
import json
import os
import subprocess
from pathlib import Path

import pytest

from console import Console, Fleet, field_hash, xor
from gateway import until
from redis_server import RedisCluster, RedisServer
from test_console_faults import FAST, SITE, everywhere, text_route

pytestmark = pytest.mark.xdist_group("console")
TOP = Path(__file__).resolve().parents[2]


class Publisher:
    """contrib/console-publish as a person runs it."""

    def __init__(self, server, *args):
        self.options = ["--redis", f"127.0.0.1:{server.port}", "--author", "test", *args]

    def __call__(self, *args, text="", status=0, env=None):
        done = subprocess.run([TOP / "contrib/console-publish", *self.options, *args], input=text, text=True,
                              capture_output=True, timeout=60, env={**os.environ, **(env or {})})
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def put(self, kind, id, value):
        return self("put", kind, id, "-", text=json.dumps(value))


@pytest.fixture
def fleet(backend):
    with RedisServer() as server:
        with Fleet(SITE, 3, redis=f'addresses = "127.0.0.1:{server.port}"; {FAST}', workers=4,
                   origin=backend().url) as gateways:
            gateways.server = server
            yield gateways


def test_published_and_served_by_all(fleet):
    """F-CFG-01, F-CFG-03, F-INST-02, R-2.3: put, changed, deleted; each time every worker of every instance."""
    publish = Publisher(fleet.server)
    assert publish.put("route", "a", text_route("/a", "one")) == "version 1\n"
    assert publish("wait", "--instances", "3") == "version 1: 3 of 3\n"
    everywhere(fleet, "/a", "one")
    publish.put("route", "a", text_route("/a", "two"))
    publish("wait", "--instances", "3")
    everywhere(fleet, "/a", "two")
    publish("delete", "route", "a")
    publish("wait", "--instances", "3")
    assert all(gw.ask("GET", "/a").status == 404 for gw in fleet for _ in range(8))
    assert publish("acks").count("in sync") == 3
    assert "number           3" in publish("version")


def test_snapshot_and_guard(fleet, tmp_path):
    """The whole set from a directory, then one that deletes most of it: an entry of the stream says so, so it is
    meant; read as a snapshot it is refused until it is marked."""
    publish = Publisher(fleet.server)
    (tmp_path / "route").mkdir()
    for i in range(10):
        (tmp_path / f"route/r{i}.json").write_text(json.dumps(text_route(f"/r{i}", f"v{i}")))
    assert publish("snapshot", str(tmp_path)) == "version 1\n"
    assert publish("snapshot", str(tmp_path)) == "nothing to do\n"
    publish("wait", "--instances", "3")
    everywhere(fleet, "/r9", "v9")
    for i in range(1, 10):
        (tmp_path / f"route/r{i}.json").unlink()
    r = fleet.server.client()
    for gw in fleet:
        gw.stop()
    publish("snapshot", str(tmp_path))
    r.delete("{gateway}:changes")
    for gw in fleet:
        gw.start()
    until(lambda: publish("acks").count(" guard ") == 3, 15, "all to refuse it")
    assert all(gw.ask("GET", "/r9").status == 200 for gw in fleet)
    r.hset("{gateway}:version", "allow_deletions", r.hget("{gateway}:version", "number"))
    r.publish("{gateway}:bell", "{}")
    publish("wait", "--instances", "3")
    assert all(gw.ask("GET", "/r9").status == 404 for gw in fleet)
    everywhere(fleet, "/r0", "v0")


def test_refused_is_named(fleet):
    """A route to nowhere is refused by all, with its reason, and taken when its service comes. F-CFG-01"""
    publish = Publisher(fleet.server)
    publish.put("route", "x", {"path": "/x", "service": "nowhere"})
    assert "3" not in publish("wait", "--timeout", "1", status=1)
    until(lambda: publish("acks").count("route x: ") == 3, 10, "all to name it")
    publish.put("service", "nowhere", {"url": "http://127.0.0.1:1"})
    publish("wait", "--instances", "3")


def test_reload_all(fleet):
    """gatewayctl reload --all, by its counter in Redis: every instance loads its files again. C-5, F-CFG-03"""
    publish = Publisher(fleet.server)
    publish.put("route", "a", text_route("/a", "one"))
    publish("wait", "--instances", "3")
    assert publish("reload") == "reload 1\n"
    for gw in fleet:
        gw.wait_log("all instances are to load their files again")
        gw.wait_log("redis asks for a reload")


def test_verdict_and_endpoints(fleet, backend):
    """Outside of generations: an endpoint's verdict, and a service's endpoints. R-2.3"""
    publish = Publisher(fleet.server)
    one, two = backend(), backend()
    publish.put("service", "mine", {"url": one.url})
    publish.put("route", "s", {"path": "/s/*", "service": "mine"})
    publish("wait", "--instances", "3")
    assert all(gw.ask("GET", "/s/x").status == 200 for gw in fleet)
    endpoint = "mine/" + one.url.split("//")[1]
    publish("verdict", endpoint, "down", "--expires", "1h")
    publish("wait", "--instances", "3")
    assert all(gw.ask("GET", "/s/x").status == 503 for gw in fleet)
    publish("endpoints", "mine", two.url)
    publish("wait", "--instances", "3")
    until(lambda: all(gw.ask("GET", "/s/x").status == 200 for gw in fleet), 10, "the other endpoint")
    publish("endpoints", "mine")
    publish("verdict", endpoint, "none")
    publish("wait", "--instances", "3")
    until(lambda: all(gw.ask("GET", "/s/x").status == 200 for gw in fleet), 10, "the first endpoint")


def test_admin_api_publishes(backend):
    """redis.publish: a change through one instance's admin API goes to all; from a flushed Redis nothing is begun
    anew. S-AD-1"""
    with RedisServer() as server, \
            Fleet(SITE, 3, redis=f'addresses = "127.0.0.1:{server.port}"; publish = true; {FAST}', workers=4,
                  origin=backend().url) as fleet:
        publish = Publisher(server)
        until(lambda: all(gw.metric("gateway_console_connected") == 1 for gw in fleet), 10, "the connections")
        for i in range(5):
            answer = fleet[i % 3].api("PUT", f"/api/gateway/v1/routes/p{i}",
                                      json.dumps(text_route(f"/p{i}", f"v{i}")).encode(),
                                      (("Content-Type", "application/json"),))
            assert answer.status in (200, 201, 202), answer.body
        publish("wait", "--instances", "3")
        for i in range(5):
            everywhere(fleet, f"/p{i}", f"v{i}")
        assert fleet[1].api("DELETE", "/api/gateway/v1/routes/p0").status in (200, 202, 204)
        publish("wait", "--instances", "3")
        assert all(gw.ask("GET", "/p0").status == 404 for gw in fleet)
        server.client().flushall()
        answer = fleet[0].api("PUT", "/api/gateway/v1/routes/late", json.dumps(text_route("/late", "x")).encode(),
                              (("Content-Type", "application/json"),))
        assert answer.status == 409 and b"lost the console's objects" in answer.body
        everywhere(fleet, "/p4", "v4")


def test_ask_in_a_cluster(backend):
    """Keys that have left for another node while the slot has not: ASK is followed for reading and for
    acknowledgements, and the connection stays until MOVED says otherwise. F-INST-03"""
    with RedisCluster() as cluster:
        source, slot = cluster.owner("{gateway}:objects")
        target = next(n for n in cluster.nodes if n is not source)
        with Fleet(SITE, 2, redis=f'addresses = "127.0.0.1:{source.port}"; mode = "cluster"; {FAST}', workers=2,
                   origin=backend().url) as fleet:
            console = Console(source.client())
            console.put("route", "w", text_route("/w", "one"))
            fleet.wait_applied(console)
            ids = [n.client().execute_command("CLUSTER", "MYID") for n in (source, target)]
            target.client().execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
            source.client().execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
            keys = source.client().execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
            source.client().execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            number = publish_asking(target, console)
            everywhere(fleet, "/w", "two")
            asked = target.client().connection_pool.get_connection("_")
            until(lambda: all(acknowledged(asked, console, gw) == number for gw in fleet), 10, "acknowledgements")
            assert not any("moved the keys" in gw.error_log() for gw in fleet)
            for n in cluster.nodes:
                n.client().execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
            console = Console(target.client())
            console.put("route", "w", text_route("/w", "three"))
            fleet.wait_applied(console)
            everywhere(fleet, "/w", "three")


def asking(connection, *words):
    for command in (("ASKING",), words):
        connection.send_command(*command)
        reply = connection.read_response()
    return reply


def acknowledged(connection, console, gw):
    text = asking(connection, "GET", console.key("ack:" + gw.instance))
    return json.loads(text)["number"] if text else 0


def publish_asking(node, console):
    """A version published at a node that imports the slot."""
    c = node.client().connection_pool.get_connection("_")
    number, field = console.number + 1, "route/w"
    text = json.dumps({"schema": 1, "value": text_route("/w", "two")})
    old = asking(c, "HGET", console.key("objects"), field)
    total = bytes.fromhex(asking(c, "HGET", console.key("version"), "hash"))
    total = xor(total, xor(field_hash(field, old), field_hash(field, text))).hex()
    asking(c, "MULTI")
    for words in (("HSET", console.key("objects"), field, text),
                  ("HSET", console.key("version"), "number", number, "hash", total),
                  ("XADD", console.key("changes"), f"{number}-0", "epoch", console.epoch, "number", number,
                   "hash", total, "document", json.dumps({"changes": [{"kind": "route", "id": "w"}]})),
                  ("EXEC",)):
        c.send_command(*words)
        c.read_response()
    return number
