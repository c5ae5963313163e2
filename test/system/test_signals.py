# SPDX-License-Identifier: Apache-2.0
"""Signals, the daemon, second instances, and who runs as whom. C-6, C-1, E-5, G-FR-005, F-INST-01"""
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from gateway import BUILD, SLOW, Gateway, processes, until
from ports import free_port
from wire import Client, WireError, ask

GATEWAY = str(BUILD / "gateway")
ROOT = os.geteuid() == 0
SITE = """
    services = ( { id = "s"; url = "@origin@"; timeouts = { first_byte = "60s"; }; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
    http = { generation_header = "X-Generation"; };
"""


def refused(address):
    """Nobody listens there."""
    try:
        with socket.create_connection(address, timeout=2):
            return False
    except OSError:
        return True


def health(gw):
    try:
        return gw.ask("GET", "/health", timeout=3).status
    except (OSError, WireError):
        return None


def gone(pid):
    return pid not in processes() or processes()[pid][2] == "Z"


class Held:
    """A handler that answers when told to."""

    def __init__(self):
        self.go, self.waiting = threading.Event(), threading.Semaphore(0)

    def __call__(self, x):
        if x.request.target == "/held":
            self.waiting.release()
            self.go.wait(60)
        x.respond(200, {}, x.request.target.encode())


def test_hup_reloads(gateway, backend):
    """HUP loads the files again; no worker is replaced, the generation moves. R-8.1, C-4"""
    gw = gateway(SITE, origin=backend().url)
    before, workers = int(gw.ask("GET", "/").get("X-Generation")), set(gw.children("worker"))
    gw.write_conf(SITE.replace('"/*"', '"/new/*"'))
    gw.kill(signal.SIGHUP)
    until(lambda: gw.ask("GET", "/new/x").status == 200 and gw.ask("GET", "/x").status == 404, 10, "the new route")
    assert int(gw.ask("GET", "/new/x").get("X-Generation")) > before
    assert set(gw.children("worker")) == workers
    gw.wait_log(r"HUP: loading")


def test_term_stops_fast(gateway, backend):
    """TERM ends everything at once, requests in flight too; exit 0, the pid file is gone, the port is free."""
    held = Held()
    gw = gateway(SITE, origin=backend(held).url)
    c = gw.client().request("GET", "/held")
    assert held.waiting.acquire(timeout=5 * SLOW)
    assert int(Path(gw.dir, "gateway.pid").read_text()) == gw.pid
    began = time.monotonic()
    assert gw.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 4 * SLOW
    with pytest.raises((WireError, OSError)):
        c.response()
    assert not Path(gw.dir, "gateway.pid").exists()
    assert refused(gw.address)
    held.go.set()
    gw.start()
    assert gw.ask("GET", "/again").status == 200


def test_int_stops(gateway, backend):
    """INT, which Ctrl-C sends, is TERM."""
    gw = gateway(SITE, origin=backend().url)
    assert gw.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("how", ["signal", "gatewayctl"])
def test_quit_drains(gateway, backend, how):
    """Readiness is 503 at once while all is still served; after min_drain connections are told to go and nothing new
    is accepted; what is in flight ends; exit 0."""
    held = Held()
    gw = gateway(SITE + f'shutdown = {{ min_drain = "{1500 * SLOW}ms"; deadline = "30s"; }};', origin=backend(held).url)
    kept = gw.client()
    assert kept.ask("GET", "/kept").status == 200
    busy = gw.client(timeout=60).request("GET", "/held")
    assert held.waiting.acquire(timeout=5 * SLOW)
    began = time.monotonic()
    if how == "signal":
        gw.kill(signal.SIGQUIT)
    else:
        assert "draining" in gw.ctl("drain").stdout
    until(lambda: health(gw) == 503, 1, "/health to answer 503")
    assert gw.ask("GET", "/new").status == 200, "connections are accepted for min_drain"
    assert kept.ask("GET", "/kept").status == 200
    until(lambda: refused(gw.address), 8, "listening to end")
    assert time.monotonic() - began >= 1.3 * SLOW
    assert kept.closed(), "an idle connection is closed"
    held.go.set()
    answer = busy.response()
    assert answer.body == b"/held" and (answer.get("Connection") or "").lower() == "close"
    until(lambda: gw.exit_status() is not None, 10, "the end of the drain")
    assert gw.stop() == 0


def test_quit_says_close(gateway, backend):
    """Requests that come on old connections after min_drain are answered with Connection: close."""
    gw = gateway(SITE + 'shutdown = { min_drain = "0"; deadline = "20s"; };', origin=backend(Held()).url)
    slow = gw.client()
    slow.send(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
    until(lambda: gw.metric("gateway_http_requests_active") == 1, 5, "the request")
    gw.kill(signal.SIGQUIT)
    until(lambda: refused(gw.address), 5, "listening to end")
    slow.send(b"cd")
    answer = slow.response()
    assert answer.status == 200 and (answer.get("Connection") or "").lower() == "close"
    assert slow.closed()
    until(lambda: gw.exit_status() is not None, 10, "the end of the drain")
    assert gw.stop() == 0


def test_quit_deadline(gateway, backend):
    """What is still in flight at the deadline is cut off, and logged so."""
    held = Held()
    gw = gateway(SITE + 'shutdown = { min_drain = "100ms"; deadline = "1s"; };', origin=backend(held).url)
    c = gw.client(timeout=60).request("GET", "/held")
    assert held.waiting.acquire(timeout=5 * SLOW)
    began = time.monotonic()
    gw.kill(signal.SIGQUIT)
    with pytest.raises((WireError, OSError)):
        c.response()
    until(lambda: gw.exit_status() is not None, 8, "the end")
    assert 0.8 < time.monotonic() - began < 6 * SLOW
    assert gw.stop() == 0
    assert [a["reason"] for a in gw.access_log() if a["path"] == "/held"] == ["shutdown"]
    held.go.set()


def test_a_late_worker_drains(gateway, backend):
    """A worker that finds its listening socket shut down already still drains, and does not spin on it. C-6"""
    gw = gateway('shutdown = { min_drain = "200ms"; deadline = "20s"; };' + SITE, origin=backend().url)
    workers = gw.children("worker")
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    gw.kill(signal.SIGQUIT)
    until(lambda: refused(gw.address), 10, "the sockets to be shut down")
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    until(lambda: gw.exit_status() == 0, 8, "the end of the drain, well before its deadline")
    assert "cutting off" not in gw.error_log()


def test_term_cuts_a_drain_short(gateway, backend):
    """TERM after QUIT does not wait for the drain."""
    held = Held()
    gw = gateway(SITE + 'shutdown = { min_drain = "20s"; deadline = "60s"; };', origin=backend(held).url)
    client = gw.client(timeout=60)  # held on to: a client that is gone ends its request
    client.request("GET", "/held")
    assert held.waiting.acquire(timeout=5 * SLOW)
    gw.kill(signal.SIGQUIT)
    until(lambda: health(gw) == 503, 3, "/health to answer 503")
    began = time.monotonic()
    assert gw.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 5 * SLOW
    held.go.set()


def test_usr1_reopens_logs(gateway, backend):
    """After a rename USR1 makes new files; not a line is lost or doubled."""
    gw = gateway(SITE, origin=backend().url)
    for i in range(20):
        gw.ask("GET", f"/old/{i}")
    gw.access_log(20)
    for name in ("access.log", "error.log"):
        os.rename(gw.dir / name, gw.dir / (name + ".1"))
    gw.ask("GET", "/between")
    gw.kill(signal.SIGUSR1)
    # The files are there before the logger writes to them: its own word in the new one is the sign.
    until(lambda: (gw.dir / "error.log").exists() and "opened again" in gw._text("error.log"), 5, "the new files in use")
    for i in range(20):
        gw.ask("GET", f"/new/{i}")
    gw.access_log(20, lambda a: a["path"].startswith("/new/"))
    paths = [a["path"] for name in ("access.log.1", "access.log") for a in gw.access_log(name=name)]
    assert sorted(paths) == sorted([f"/old/{i}" for i in range(20)] + ["/between"] + [f"/new/{i}" for i in range(20)])
    assert not [a for a in gw.access_log(name="access.log") if a["path"].startswith("/old/")]
    gw.ctl("reload")
    until(lambda: "generation" in gw._text("error.log"), 5, "lines in the new error log")


def test_usr2_is_survived(gateway, backend):
    """USR2 says what it does not do yet, and harms nothing."""
    gw = gateway(SITE, origin=backend().url)
    gw.kill(signal.SIGUSR2)
    gw.wait_log("USR2")
    assert gw.ask("GET", "/").status == 200


def test_storm_of_signals(gateway, backend):
    """Any number of HUP and USR1 in a row: served all the while, the last configuration in force."""
    gw = gateway(SITE, origin=backend().url)
    for i in range(30):
        gw.write_conf(SITE.replace('"/*"', f'"/v{i}/*"'))
        gw.kill(signal.SIGHUP)
        gw.kill(signal.SIGUSR1)
        assert gw.ask("GET", "/health").status == 200
    until(lambda: gw.ask("GET", "/v29/").status == 200, 15, "the last configuration")


# --- instances ---------------------------------------------------------------------------------------------
def second(gw, config, **words):
    """Tries to start another one; returns (exit status, what it said)."""
    other = Gateway(config, port=free_port(), **words)
    try:
        done = subprocess.run([GATEWAY, "-c", str(other.conf_file)], capture_output=True, text=True, check=False,
                              timeout=30 * SLOW, stdin=subprocess.DEVNULL, cwd=other.dir)
        return done.returncode, done.stderr + other._text("error.log")
    finally:
        other.pid = None
        shutil.rmtree(other.dir, ignore_errors=True)


def test_same_run_directory(gateway, backend):
    """A second instance in the same run directory is refused by name; the first goes on."""
    gw = gateway(SITE, origin=backend().url)
    code, said = second(gw, f'run_directory = "{gw.dir}/run";\n' + SITE, origin="http://127.0.0.1:1")
    assert code == 1 and f"locked by pid {gw.pid}" in said and str(gw.dir) in said, said
    assert gw.ask("GET", "/").status == 200
    gw.ctl("status")


def test_same_port(gateway, backend):
    """A second instance on the same port is an error that names address and listener, not a split of the traffic."""
    gw = gateway(SITE, origin=backend().url)
    code, said = second(gw, SITE + f'listeners = ( {{ id = "main"; address = "127.0.0.1:{gw.port}"; }} );',
                        origin="http://127.0.0.1:1")
    assert code == 1 and f"127.0.0.1:{gw.port}" in said and "main" in said, said
    for _ in range(20):
        assert gw.ask("GET", "/").status == 200


def test_two_instances(gateway, backend):
    """Side by side on one host, each with its own paths and ports. F-INST-01"""
    one, two = gateway(SITE, origin=backend(name="1").url), gateway(SITE, origin=backend(name="2").url)
    assert one.ask("GET", "/").json()["backend"] == "1" and two.ask("GET", "/").json()["backend"] == "2"
    two.stop()
    assert one.ask("GET", "/").status == 200


def test_restart_finds_its_way(gateway, backend):
    """Killed altogether and started again: stale lock, sockets and maps are no obstacle."""
    gw = gateway(SITE, origin=backend().url)
    children = list(gw.children())
    os.kill(gw.pid, signal.SIGKILL)
    until(lambda: all(gone(pid) for pid in children), 10, "children to follow their master")
    gw.stop(check=False)
    gw.start()
    assert gw.ask("GET", "/").status == 200


# --- daemon ------------------------------------------------------------------------------------------------
def daemon(gw):
    env = dict(gw._environment())
    return subprocess.run([GATEWAY, "-d", "-c", gw.conf_file.name], capture_output=True, text=True, check=False,
                          timeout=30 * SLOW, env=env, stdin=subprocess.DEVNULL, cwd=gw.dir)


def test_daemon(backend):
    """-d returns 0 when it serves; the daemon has a session of its own, no terminal, and stops by the pid file."""
    gw = Gateway(SITE, origin=backend().url)
    try:
        done = daemon(gw)
        assert done.returncode == 0, done.stderr
        pid = int((gw.dir / "gateway.pid").read_text())
        (gw.dir / "session").write_text(str(pid))
        gw.pid = pid
        assert health(gw) == 200
        assert gw.ask("GET", "/").status == 200
        assert processes()[pid][1] == pid, "a session of its own"
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
        gw.reload(SITE.replace('"/*"', '"/new"'))
        assert gw.ask("GET", "/new").status == 200
        children = list(gw.children())
        os.kill(pid, signal.SIGTERM)
        until(lambda: all(gone(p) for p in [pid, *children]), 10, "the daemon to end")
        gw.check_crashes()
    finally:
        for p in gw.leftovers() if (gw.dir / "session").exists() else ():
            os.kill(p, signal.SIGKILL)
        gw.pid = None
        shutil.rmtree(gw.dir, ignore_errors=True)


def test_daemon_that_cannot(backend):
    """-d returns 1 with the words when it cannot serve, and leaves nothing behind."""
    gw = Gateway('workers = "x";\n' + SITE, origin=backend().url)
    try:
        done = daemon(gw)
        assert done.returncode == 1 and "gateway.conf" in done.stderr and "workers" in done.stderr
        assert not (gw.dir / "gateway.pid").exists()
    finally:
        gw.pid = None
        shutil.rmtree(gw.dir, ignore_errors=True)


# --- users -------------------------------------------------------------------------------------------------
def status_of(pid):
    return dict(re.findall(r"(?m)^(\w+):\s*(.*)$", Path(f"/proc/{pid}/status").read_text()))


@pytest.mark.skipif(not ROOT, reason="needs root")
def test_users_of_their_own(gateway, backend):
    """Started as root, every kind runs under a uid of its own, without capabilities, sandboxed."""
    gw = gateway(SITE, origin=backend().url)
    assert status_of(gw.pid)["Uid"].split()[0] == "0"
    uids = {}
    for pid in gw.children():
        s = status_of(pid)
        kind = next(k for k in ("keeper", "worker", "prober", "logger", "admin") if gw.children(k).get(pid))
        uids.setdefault(kind, set()).add(s["Uid"])
        assert len(set(s["Uid"].split())) == 1 and s["Uid"].split()[0] != "0"
        assert set(s["Gid"].split()) != {"0"} and "0" not in s["Groups"].split()
        assert int(s["CapEff"], 16) == int(s["CapPrm"], 16) == 0
        assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2", kind
    assert set(uids) == {"keeper", "worker", "prober", "logger", "admin"}
    assert all(len(v) == 1 for v in uids.values())
    assert len({v for s in uids.values() for v in s}) == len(uids)
    mode = (gw.dir / "run").stat().st_mode
    assert not mode & 0o006, oct(mode)


@pytest.mark.skipif(not ROOT, reason="needs root to become somebody else")
def test_without_root(backend):
    """Started by an ordinary user everything runs as that user, and the log says so once."""
    b = backend()
    gw = Gateway(SITE, origin=b.url)
    shutil.copy(GATEWAY, gw.dir / "gateway.bin")
    (gw.dir / "as-nobody").write_text(f"#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups "
                                      f'"{gw.dir}/gateway.bin" "$@"\n')
    os.chmod(gw.dir / "as-nobody", 0o755)
    gw.binary = gw.dir / "as-nobody"
    os.chown(gw.dir, 65534, 65534)
    with gw:
        assert gw.ask("GET", "/").status == 200
        for pid in [gw.pid, *gw.children()]:
            assert set(status_of(pid)["Uid"].split()) == {"65534"}
        assert len(re.findall("every process runs as user 65534", gw.error_log())) == 1
        gw.reload(SITE.replace('"/*"', '"/new"'))
        assert gw.ask("GET", "/new").status == 200
        assert Client(gw.socket).ask("GET", "/api/gateway/v1/status").status == 200
        assert ask(gw.socket, "POST", "/api/gateway/v1/reload", {}, b"").status == 200
