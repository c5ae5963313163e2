# SPDX-License-Identifier: Apache-2.0
"""Every way to Redis that can be configured: TLS, ACL users, passwords by reference, Sentinel, Cluster, several
addresses, a database, a prefix, a name. F-INST-03, F-CFG-01"""
import json
import os
import re
from pathlib import Path

import pytest

from console import Console, Fleet
from gateway import SANITIZED, until
from ports import free_port
from redis_server import Certificates, RedisCluster, RedisServer, Sentinels, TcpProxy
from test_console_faults import FAST, SITE, Traffic, count, everywhere, served, status, text_route

pytestmark = pytest.mark.xdist_group("console")


def one(redis, origin, n=1, **kw):
    return Fleet(SITE, n, redis=f"{redis} {FAST}", workers=2, origin=origin, **kw)


def works(fleet, console, path="/w"):
    console.put("route", "w", text_route(path, "works"))
    fleet.wait_applied(console)
    everywhere(fleet, path, "works")


DOCUMENT = Path(__file__).resolve().parents[2] / "contrib/doc/console.md"


def rights(*more):
    """What contrib/doc/console.md says an instance needs, and no more: the ACL SETUSER it prints, and what it adds
    for each of the words."""
    text = DOCUMENT.read_text().partition("## Rights")[2].partition("## ")[0]
    line = re.search(r"(?s)ACL SETUSER (instance .*?)\n\n", text)[1].replace(">SECRET", ">s3cret").split()
    for word in more:
        added = re.search(rf"(?s)with\s+`[^`]*{word}[^`]*`\s+also\s+`([^`]*)`", text, re.I)
        line += added[1].split()
    return line


def test_tls_and_acl(backend, tmp_path):
    """TLS with a private CA and a client certificate; a user of the ACL with the rights the document names; the
    password from a file only the gateway's loader reads."""
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    with Certificates() as certs, RedisServer(["--requirepass", "admin"], tls=certs) as server:
        server.client(password="admin").execute_command("ACL", "SETUSER", *rights())
        redis = f"""addresses = "localhost:{server.port}"; username = "instance";
            password = "secret://file/{str(secret).lstrip('/')}";
            tls = {{ enabled = true; ca = "{certs.ca}"; certificate = "{certs.client_cert}";
                     key = "{certs.client_key}"; }};"""
        with one(redis, backend().url, 2) as fleet, Traffic(fleet):
            works(fleet, Console(server.client(password="admin")))
            assert "s3cret" not in fleet[0].error_log()
            assert b"s3cret" not in fleet[0].api("GET", "/api/gateway/v1/config").body


def test_rights_of_the_document(backend):
    """Each thing an instance does needs the rights the document names for it; no command is refused."""
    with RedisServer() as server:
        r = server.client()
        r.execute_command("ACL", "SETUSER", *rights("rollout", "reload --all", "redis.publish"))
        r.execute_command("ACL", "SETUSER", "plain", *rights()[1:])
        redis = f'addresses = "127.0.0.1:{server.port}"; username = "@user@"; password = "secret://env/PW"; publish = true;'
        with one(redis, backend().url, 1, user="instance", env={"PW": "s3cret"}) as fleet:
            gw, console = fleet[0], Console(r)
            works(fleet, console)
            for way in (("set", "route", "w", "priority=3"), ("endpoints", "drain", "s", "*"), ("reload", "--all"),
                        ("delete", "route", "w"), ("rollout", "status", "--wait", "10s")):
                gw.ctl(*way)
            assert status(gw)["error"] == ""
        with one(redis.replace("publish = true;", ""), backend().url, 1, user="plain", env={"PW": "s3cret"}) as fleet:
            console.put("route", "w", text_route("/w", "again"))
            fleet.wait_applied(console)
            done = fleet[0].ctl("rollout", "status", check=False)
            assert done.returncode == 1 and "NOPERM" in done.stderr
            console.delete("route", "w")
            fleet.wait_applied(console)


def test_certificate_of_somebody_else(backend):
    """Another CA's certificate: no connection, and the words say why."""
    with Certificates() as certs, Certificates() as others, RedisServer(tls=certs) as server:
        redis = f'addresses = "localhost:{server.port}"; tls = {{ enabled = true; ca = "{others.ca}"; }};'
        with one(redis, backend().url) as fleet:
            until(lambda: "certificate" in status(fleet[0])["error"], 10, "the words")
            assert status(fleet[0])["state"] == "connecting"
            assert fleet[0].ask("GET", "/file/x").status == 200


def test_password_from_the_environment(backend):
    with RedisServer(["--requirepass", "pw"]) as server:
        redis = f'addresses = "127.0.0.1:{server.port}"; password = "secret://env/CONSOLE_PASSWORD";'
        with one(redis, backend().url, env={"CONSOLE_PASSWORD": "pw"}) as fleet:
            works(fleet, Console(server.client(password="pw")))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: reads the memory of other processes")
@pytest.mark.skipif(SANITIZED, reason="the sanitizers' runtime keeps a copy of the environment")
def test_a_secret_is_nobody_elses(backend):
    """A variable that a reference names is in the memory of the redis process, which needs it, and in none that
    faces clients or upstreams. F-SEC-03"""
    secret = "Kq7-not-to-be-found-elsewhere"  # lint: no secret
    redis = f'addresses = "127.0.0.1:{free_port()}"; password = "secret://env/CONSOLE_PASSWORD";'
    with one(redis, backend().url, env={"CONSOLE_PASSWORD": secret}) as fleet:
        gw = fleet[0]
        found = {kind: memory_has(gw.child(kind), secret.encode())
                 for kind in ("worker", "admin", "keeper", "prober", "logger", "redis")}
        assert found == {**dict.fromkeys(found, False), "redis": True}


def memory_has(pid, needle):
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            where, rights = line.split()[:2]
            first, end = (int(x, 16) for x in where.split("-"))
            if not rights.startswith("rw") or end - first > 64 << 20:
                continue
            memory.seek(first)
            if needle in memory.read(end - first):
                return True
    return False


def test_password_changes_at_a_reload(backend, tmp_path):
    """The secret's file has another content: after a reload the new one is used."""
    secret = tmp_path / "password"
    secret.write_text("wrong")
    with RedisServer(["--requirepass", "right"]) as server:
        redis = f"""addresses = "127.0.0.1:{server.port}"; password = "secret://file/{str(secret).lstrip('/')}";"""
        with one(redis, backend().url) as fleet:
            until(lambda: "WRONGPASS" in status(fleet[0])["error"], 10, "the words")
            secret.write_text("right")
            fleet[0].reload()
            works(fleet, Console(server.client(password="right")))


def test_missing_secret(gateway, backend):
    """A reference that leads nowhere is an error of the load and names the setting, not the secret."""
    gw = gateway(SITE, origin=backend().url)
    done = gw.reload(f'redis = {{ addresses = "127.0.0.1:{free_port()}"; password = "secret://env/NOT_THERE"; }};\n'
                     + SITE, check=False)
    assert done.returncode == 1
    assert "redis.password" in done.stdout + done.stderr
    assert gw.ask("GET", "/file/x").status == 200


def test_several_addresses_database_prefix(backend):
    """The first address is dead; keys lie in database 5 under a prefix of their own."""
    with RedisServer() as server:
        redis = f'addresses = [ "127.0.0.1:{free_port()}", "localhost:{server.port}" ]; database = 5; prefix = "blue";'
        with one(redis, backend().url) as fleet:
            works(fleet, Console(server.client(db=5), prefix="blue"))


def test_comes_and_goes_with_the_setting(gateway, backend):
    """redis is set at a reload, changed, and taken away: the process follows, and workers stay."""
    with RedisServer() as a, RedisServer() as b:
        gw = gateway(SITE, origin=backend().url)
        gw.instance = "gw"
        workers = gw.children("worker")
        for server in (a, b):
            gw.reload(f'instance = "gw";\nredis = {{ addresses = "127.0.0.1:{server.port}"; {FAST} }};\n' + SITE)
            console = Console(server.client())
            console.put("route", "w", text_route("/w", f"by {server.port}"))
            until(served(gw, "/w", f"by {server.port}"), 10, "the change")
        gw.reload(SITE)
        until(lambda: not gw.children("redis"), 10, "the process to leave")
        assert gw.children("worker") == workers
        assert gw.ask("GET", "/w").body == f"by {b.port}".encode(), "what the console said stays"


def test_sentinel(backend):
    """The master is asked of the Sentinels, who have another one when it dies."""
    with RedisServer() as master, RedisServer(["--replicaof", "127.0.0.1", str(master.port)]) as replica, \
            Sentinels(master, 3) as sentinels:
        until(lambda: all(int(s.client().sentinel_master("console")["num-slaves"]) == 1 for s in sentinels.all), 15,
              "the replica to be known")
        addresses = ", ".join(f'"{x}"' for x in sentinels.addresses)
        redis = f'addresses = [ {addresses} ]; mode = "sentinel"; sentinel = {{ name = "console"; }};'
        with one(redis, backend().url, 2) as fleet, Traffic(fleet):
            console = Console(master.client())
            works(fleet, console)
            until(lambda: replica.client().hget(console.key("version"), "number") == str(console.number), 10, "replica")
            master.kill()
            until(lambda: sentinels.master_port() == replica.port, 20, "the fail-over")
            until(lambda: replica.client().info("replication")["role"] == "master", 10, "the new master")
            console = Console(replica.client())
            console.put("route", "w", text_route("/w", "after"))
            fleet.wait_applied(console)
            everywhere(fleet, "/w", "after")


def test_cluster(backend):
    """Any node leads to the one that has the keys, and on when the slot moves."""
    with RedisCluster() as cluster:
        owner, slot = cluster.owner("{gateway}:objects")
        other = next(s for s in cluster.nodes if s is not owner)
        redis = f'addresses = [ "127.0.0.1:{other.port}" ]; mode = "cluster";'
        with one(redis, backend().url, 2) as fleet, Traffic(fleet):
            works(fleet, Console(owner.client()))
            ids = {s: s.client().execute_command("CLUSTER", "MYID") for s in (owner, other)}
            other.client().execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[owner])
            owner.client().execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[other])
            keys = owner.client().execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1000)
            owner.client().execute_command("MIGRATE", "127.0.0.1", other.port, "", 0, 5000, "KEYS", *keys)
            for s in (other, owner):
                s.client().execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[other])
            console = Console(other.client())
            console.put("route", "w", text_route("/w", "moved"))
            fleet.wait_applied(console)
            everywhere(fleet, "/w", "moved")


def test_names_of_instances(backend):
    """Two instances with one name would hide one another: the acknowledgement says which host and process, and
    the rollout tells."""
    with RedisServer() as server, one(f'addresses = "127.0.0.1:{server.port}";', backend().url, 2) as fleet:
        console = Console(server.client())
        works(fleet, console)
        acks = [console.ack(gw.instance) for gw in fleet]
        assert {a["instance"] for a in acks} == {"gw0", "gw1"}
        assert all(a["host"] and a["version"] and a["generation"] > 0 for a in acks)
        seen = json.loads(fleet[0].api("GET", "/api/gateway/v1/rollout").body)
        assert (seen["in_sync"], seen["of"]) == (2, 2)


def test_blackhole_at_the_start(backend):
    """Connections are taken and never answered: each command has its deadline, and it is tried again."""
    with RedisServer() as server, TcpProxy(server.port) as proxy:
        proxy.blackhole(True)
        with one(f'addresses = "127.0.0.1:{proxy.port}";', backend().url) as fleet:
            until(lambda: count(fleet[0], "timeouts") >= 2, 15, "deadlines to pass")
            proxy.blackhole(False)
            works(fleet, Console(server.client()))
