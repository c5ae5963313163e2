# SPDX-License-Identifier: Apache-2.0
"""The kit that starts Redis for other tests (test/lib/redis_server.py) does what it says."""
import pytest
import redis as pyredis

from gateway import until
from redis_server import Certificates, RedisCluster, RedisServer, Sentinels, TcpProxy

pytestmark = pytest.mark.xdist_group("console")


def test_survives_a_kill_and_breaks_connections():
    with RedisServer(["--appendonly", "yes", "--appendfsync", "always"]) as server:
        server.client().set("a", "b")
        server.kill()
        server.start()
        assert server.client().get("a") == "b"
        with TcpProxy(server.port) as proxy:
            client = pyredis.Redis("127.0.0.1", proxy.port, socket_timeout=0.5)
            assert client.ping()
            proxy.blackhole(True)
            with pytest.raises(pyredis.TimeoutError):
                client.get("a")
            proxy.blackhole(False)
            assert client.get("a") == b"b"


def test_tls_and_password():
    with Certificates() as certs, RedisServer(["--requirepass", "x"], tls=certs) as server:
        assert server.client(password="x").ping()


def test_sentinels_fail_over():
    with RedisServer() as master, RedisServer(["--replicaof", "127.0.0.1", str(master.port)]) as replica, \
            Sentinels(master, 1) as sentinels:
        until(lambda: int(sentinels.all[0].client().sentinel_master("console")["num-slaves"]) == 1, 15, "the replica")
        master.kill()
        until(lambda: sentinels.master_port() == replica.port, 20, "the fail-over")


def test_cluster():
    with RedisCluster() as cluster:
        node, slot = cluster.owner("{gateway}:objects")
        assert 0 <= slot < 16384
        assert node.client().set("{gateway}:objects", "x")
