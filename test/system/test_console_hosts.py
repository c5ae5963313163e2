# SPDX-License-Identifier: Apache-2.0
"""Three instances in network namespaces of their own, as three hosts would be, and one Redis. F-INST-01, F-INST-02,
F-INST-03, F-CFG-03

Needs root, and a kernel that lets it make namespaces; elsewhere the tests say so and are skipped. The near ends are
in a namespace too: a browser that another test drives drops all its connections where this machine's interfaces
change."""
import ctypes
import os
import shutil
import subprocess

import pytest

from console import Console, Fleet
from gateway import until
from redis_server import RedisServer
from test_console_faults import FAST, everywhere, status, text_route
from wire import ask

pytestmark = pytest.mark.xdist_group("console")


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


class Host:
    """A namespace with an address, reached from here over a pair of interfaces."""

    def __init__(self, i):
        tag = f"{os.getpid() % 10000}{i}"
        self.name, self.here, self.there = f"gwt{tag}", f"gwv{tag}", f"gwp{tag}"
        base = f"10.{200 + os.getpid() % 50}.{i}"
        self.near, self.address = f"{base}.1", f"{base}.2"

    def _must(self, *words):
        done = run(*words)
        if done.returncode != 0:
            pytest.skip(f"{' '.join(words)}: {done.stderr.strip()}")

    def inside(self, *words):
        self._must("ip", "netns", "exec", self.name, *words)

    def start(self):
        self._must("ip", "netns", "add", self.name)
        self._must("ip", "link", "add", self.here, "type", "veth", "peer", "name", self.there)
        self._must("ip", "link", "set", self.there, "netns", self.name)
        self._must("ip", "addr", "add", f"{self.near}/30", "dev", self.here)
        self._must("ip", "link", "set", self.here, "up")
        self.inside("ip", "addr", "add", f"{self.address}/30", "dev", self.there)
        self.inside("ip", "link", "set", self.there, "up")
        self.inside("ip", "link", "set", "lo", "up")

    def vanish(self, on):
        """What it sends goes to a card that does not exist: no error, no answer."""
        if on:
            self.inside("ip", "neigh", "replace", self.near, "lladdr", "02:00:00:00:00:99", "dev", self.there,
                        "nud", "permanent")
        else:
            self.inside("ip", "neigh", "del", self.near, "dev", self.there)

    def end(self):
        run("ip", "link", "del", self.here)
        run("ip", "netns", "del", self.name)


CLONE_NEWNET = 0x40000000


@pytest.fixture
def network():
    """This thread, and all that it starts, in a network of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(CLONE_NEWNET) != 0:
            pytest.skip(f"unshare: {os.strerror(ctypes.get_errno())}")
        run("ip", "link", "set", "lo", "up")
        yield
    finally:
        assert libc.setns(home, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        os.close(home)


@pytest.fixture
def hosts(network):
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("needs root and ip(8)")
    made = [Host(i) for i in range(3)]
    try:
        for h in made:
            h.start()
        yield made
    finally:
        for h in made:
            h.end()


SITE = """
    listeners = ( { id = "main"; address = "@address@:8080"; }, { id = "near"; address = "127.0.0.1:8081"; } );
    routes = ( { id = "file"; path = "/file"; policies = ( { policy = "fixed_response"; body = "file"; } ); } );
"""


class HostFleet(Fleet):
    """Each gateway runs in a host's namespace."""

    def __init__(self, hosts, port):
        super().__init__(SITE, len(hosts), redis="", workers=4, address="")
        for gw, host in zip(self.gateways, hosts):
            wrapper = gw.dir / "inside"
            wrapper.write_text(f'#!/bin/sh\nexec ip netns exec {host.name} "{gw.binary}" "$@"\n')
            wrapper.chmod(0o755)
            gw.write_conf(f'workers = 4;\ninstance = "{gw.instance}";\n'
                          f'redis = {{ addresses = "{host.near}:{port}"; {FAST} }};\n' + SITE, address=host.address)
            gw.binary, gw.namespace, gw.host, gw.port = wrapper, host, host.address, 8080


def test_three_hosts(hosts):
    """A change reaches all; one host whose packets vanish serves on, is missed in the rollout, and catches up."""
    with RedisServer(["--bind", "0.0.0.0", "--protected-mode", "no"]) as server:
        with HostFleet(hosts, server.port) as fleet:
            console = Console(server.client())
            console.put("route", "a", text_route("/a", "one"))
            fleet.wait_applied(console)
            everywhere(fleet, "/a", "one")
            lost = fleet[1]
            lost.namespace.vanish(True)
            console.put("route", "a", text_route("/a", "two"))
            for gw in (fleet[0], fleet[2]):
                until(lambda gw=gw: gw.ask("GET", "/a").body == b"two", 10, "the others")
            until(lambda: status(lost)["state"] != "live", 20, "the silence to be noticed")
            until(lambda: console.ack(lost.instance) is None, 10, "its acknowledgement to expire")
            done = fleet[0].ctl("rollout", "status", check=False)
            assert done.returncode == 1 and lost.instance in done.stdout + done.stderr, done
            lost.namespace.vanish(False)
            fleet.wait_applied(console)
            everywhere(fleet, "/a", "two")
            assert "3 of 3" in until(lambda: (lambda d: d.stdout if d.returncode == 0 else None)(
                fleet[0].ctl("rollout", "status", "--wait", "10s", check=False)), 20, "N of N")
            fleet.wait_same()
            assert ask(lost.address, "GET", "/file").body == b"file"
