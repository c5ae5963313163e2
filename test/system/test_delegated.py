# SPDX-License-Identifier: Apache-2.0
"""Health is said from outside or seen in requests: the core watches no orchestrator. F-K8S-01, F-K8S-02"""
import re
import socket
from pathlib import Path

from gateway import TOP

SITE = """
    services = ( { id = "s"; url = "@origin@"; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
"""
CORE = ("shm", "conf", "worker", "admin", "master")


def connections_out(gw):
    """The far ends of what its processes connected to over TCP, but for the listener's own clients."""
    inodes = set()
    for pid in [gw.pid, *gw.children()]:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found = re.fullmatch(r"socket:\[(\d+)\]", str(fd.readlink()))
            except OSError:
                continue
            if found:
                inodes.add(found[1])
    out = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[9] in inodes and words[3] != "0A" and int(words[1].split(":")[1], 16) != gw.port:
            out.add(int(words[2].split(":")[1], 16))
    return out


def test_the_core_knows_no_orchestrator():
    """No source of the core names one, or its interface."""
    for top in CORE:
        for path in (TOP / top).rglob("*.[ch]"):
            text = path.read_text(errors="replace").lower()
            assert not re.search(r"kube|k8s|\bpods?\b|service_host", text), path


def test_nobody_is_asked(gateway, backend):
    """In a pod's environment it calls no API server, and an endpoint sees clients' requests and nothing else."""
    origin = backend()
    with socket.create_server(("127.0.0.1", 0)) as api:
        api.setblocking(False)
        gw = gateway(SITE, origin=origin.url, env={
            "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(api.getsockname()[1]),
            "KUBERNETES_PORT": f"tcp://127.0.0.1:{api.getsockname()[1]}"})
        gw.reload()
        assert connections_out(gw) == set() and origin.connections == 0
        for _ in range(50):
            assert gw.ask("GET", "/").status == 200
        gw.ctl("endpoints", "down", "s", "*")
        for _ in range(50):
            assert gw.ask("GET", "/").status == 503
        gw.ctl("endpoints", "up", "s", "*")
        assert gw.ask("GET", "/").status == 200
        assert connections_out(gw) <= {origin.port}
        assert len(origin.requests) == 51
        try:
            api.accept()
        except BlockingIOError:
            return
        raise AssertionError("somebody asked the API server")
