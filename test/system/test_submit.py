# SPDX-License-Identifier: Apache-2.0
"""What the master does for changes that are no reload: sockets of listeners that came through the admin API, and the
process that speaks to Redis. F-CFG-01, F-INST-02, C-4"""
import json
import os
import signal
import socket

import pytest

from gateway import Gateway, until
from ports import free_port
from wire import ask

REDIS = 'instance = "one"; redis = { addresses = [ "127.0.0.1:@redis@" ]; };'


@pytest.fixture
def gw():
    with Gateway("") as made:
        yield made


def put(gw, name, port):
    body = json.dumps({"address": f"127.0.0.1:{port}"}).encode()
    return gw.api("PUT", f"/api/gateway/v1/listeners/{name}", body, {"Content-Type": "application/json"})


def health(port):
    try:
        return ask(("127.0.0.1", port), "GET", "/health", timeout=5).status
    except OSError:
        return None


def test_listener_of_the_api(gw):
    """It serves when the call returns, moves, and goes; no worker is replaced, and no reload is counted."""
    workers, first, second = gw.children("worker"), free_port(), free_port()
    assert put(gw, "extra", first).status == 201 and health(first) == 200
    assert put(gw, "extra", second).status == 200 and health(second) == 200
    until(lambda: health(first) is None, 5, "the old address to be closed")
    assert gw.api("DELETE", "/api/gateway/v1/listeners/extra").status == 200
    until(lambda: health(second) is None, 5, "the last address to be closed")
    assert gw.ctl_json("status")["reloads"]["succeeded"] == 0
    assert gw.children("worker") == workers and gw.ask("GET", "/health").status == 200


def test_taken_port(gw):
    """The caller is told what the kernel said; nothing has changed, and the state of reloads is what it was."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = put(gw, "extra", port)
    assert answer.status == 422 and f"127.0.0.1:{port}".encode() in answer.body and b"in use" in answer.body
    assert answer.json()["changes"] == [{"id": "extra", "kind": "listener", "result": "none"}]
    reloads = gw.ctl_json("status")["reloads"]
    assert reloads["failed"] == 0 and reloads["last_ok"]
    assert put(gw, "extra", free_port()).status == 201


def test_keeper_replaced_in_between(gw):
    """The next keeper submits as the one before did."""
    os.kill(gw.child("keeper"), signal.SIGKILL)
    gw.wait_log(r"keeper \d+ .*killed by signal 9")
    port = free_port()
    until(lambda: put(gw, "extra", port).status in (200, 201), 10, "the new keeper")
    assert health(port) == 200
    gw.reload()
    assert health(port) == 200


def test_process_for_redis(gw):
    """Ready with Redis away; replaced when its settings change and not otherwise; gone with them. A replacement is no death."""
    assert not gw.children("redis")
    gw.reload(REDIS, redis=free_port())
    first = gw.child("redis")
    gw.reload(REDIS + "\nworkers = 3;")
    assert set(gw.children("redis")) == {first}
    gw.reload(REDIS, redis=free_port())
    second = until(lambda: set(gw.children("redis")) - {first}, 10, "another process")
    until(lambda: set(gw.children("redis")) == second, 10, "the old one to leave")
    os.kill(*second, signal.SIGKILL)
    until(lambda: set(gw.children("redis")) - second, 10, "its successor")
    gw.reload("")
    until(lambda: not gw.children("redis"), 10, "it to leave")
    gw.wait_log(r"error master.*redis \d+")
    gw.stop()
    assert len([line for line in gw.error_log().splitlines() if " error master" in line and "redis" in line]) == 1
    gw.write_conf(REDIS, redis=free_port())
    gw.start()
    assert gw.child("redis") and gw.ask("GET", "/health").status == 200
