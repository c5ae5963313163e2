# SPDX-License-Identifier: Apache-2.0
"""Several instances on one host, kept apart by directories, ports and names alone. F-INST-01"""
import os
import shutil
import signal
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway import BUILD, SLOW, Gateway, processes, until
from ports import free_port
from wire import WireError

ROOT = os.geteuid() == 0
SITE = """
    instance = "@name@";
    services = ( { id = "s"; url = "@origin@"; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
    http = { generation_header = "X-Generation"; };
    admin = { metrics_listen = "127.0.0.1:@metrics@"; };
"""


class Asker(threading.Thread):
    """Asks an instance without a pause, and keeps what was not 200."""

    def __init__(self, gw):
        super().__init__(daemon=True)
        self.gw, self.done, self.failed, self.asked = gw, threading.Event(), [], 0

    def run(self):
        while not self.done.is_set():
            try:
                status = self.gw.ask("GET", "/", timeout=5 * SLOW).status
            except (OSError, WireError) as e:
                status = repr(e)
            self.asked += 1
            if status != 200:
                self.failed.append(status)

    def end(self):
        self.done.set()
        self.join(20 * SLOW)
        return self.failed


@pytest.fixture
def three(backend):
    with ExitStack() as stack:
        yield [stack.enter_context(Gateway(SITE, name=name, origin=backend().url, metrics=free_port()))
               for name in ("red", "green", "blue")]


def uids(gw):
    """Who the children are."""
    return {Path(f"/proc/{pid}").stat().st_uid for pid in gw.children()}


def test_side_by_side(three):
    """Three instances of two workers each: every one serves, and has processes, sockets and files of its own."""
    for gw in three:
        assert gw.ask("GET", "/").status == 200
        status = gw.ctl_json("status")
        assert gw.words["name"] in str(status), status
        assert len(gw.children("worker")) == 2
        assert int((gw.dir / "gateway.pid").read_text()) == gw.pid
        assert gw.metric("gateway_process_up", kind="worker") == 2
    assert len({gw.socket for gw in three}) == 3
    if ROOT:
        for gw in three:
            assert 0 not in uids(gw)
    everybody = [set(gw.children()) for gw in three]
    assert not everybody[0] & everybody[1] and not everybody[1] & everybody[2]


def test_reloads_and_stops_disturb_nobody(three):
    """While one is reloaded, loses a worker and stops, requests to the others all succeed."""
    red, green, blue = three
    askers = [Asker(gw) for gw in (red, green)]
    for a in askers:
        a.start()
    workers = {gw: set(gw.children("worker")) for gw in (red, green)}
    for i in range(3):
        blue.reload(SITE + f"workers = {2 + i % 2};")
        assert blue.ask("GET", "/").status == 200
    os.kill(blue.child("worker"), signal.SIGKILL)
    blue.wait_log(r"worker \d+ .*killed by signal 9")
    blue.stop(signal.SIGQUIT)
    generations = [gw.ask("GET", "/").get("X-Generation") for gw in (red, green)]
    red.reload(SITE + 'error_log = { path = "@dir@/error.log"; level = "debug"; };')
    assert [a.end() for a in askers] == [[], []]
    assert all(a.asked > 10 for a in askers)
    assert red.ask("GET", "/").get("X-Generation") != generations[0]
    assert green.ask("GET", "/").get("X-Generation") == generations[1]
    assert all(workers[gw] == set(gw.children("worker")) for gw in (red, green))
    blue.start()
    assert blue.ask("GET", "/").status == 200


def refused(gw):
    """Starts what must not start; what it said."""
    gw.spawn("-c", gw.conf_file)
    until(lambda: gw.exit_status() is not None, 15, "the refusal")
    assert gw.exit_status() == 1
    said = (gw.dir / "stderr").read_text()
    gw.pid = None
    gw._shell.wait(10)  # pylint: disable=protected-access
    shutil.rmtree(gw.dir)
    return said


def test_same_port_twice(three, backend):
    """The second to want a port gets an error with address and listener; the first keeps all of it."""
    red = three[0]
    said = refused(Gateway(SITE, name="late", origin=backend().url, metrics=free_port(), port=red.port))
    assert f"127.0.0.1:{red.port}" in said and "listener main" in said and "in use" in said.lower(), said
    assert red.ask("GET", "/").status == 200


def test_same_run_directory_twice(three, backend):
    """The second to want a run directory is told who has it."""
    red = three[0]
    late = Gateway(f'run_directory = "{red.dir}/run";\n' + SITE, name="late", origin=backend().url, metrics=free_port())
    said = refused(late)
    assert f"run directory {red.dir}/run is locked by pid {red.pid}" in said, said
    assert red.ask("GET", "/").status == 200
    assert red.ctl("status").returncode == 0


def test_by_name(three):
    """gatewayctl -i takes the name of gateway@NAME.service, and no path."""
    ctl = str(BUILD / "gatewayctl")
    done = subprocess.run([ctl, "-i", "nobody-here", "status"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 3 and "/run/gateway-nobody-here/admin.sock" in done.stderr, done
    done = subprocess.run([ctl, "-i", "../x", "status"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2 and "name" in done.stderr
    assert all(pid in processes() for pid in [gw.pid for gw in three])


@pytest.mark.skipif(not ROOT or not shutil.which("setpriv"), reason="takes root, to become somebody else")
def test_as_a_user(backend):
    """Started by somebody without rights: the same, everything as that user."""
    with ExitStack() as stack:
        all_of_them = []
        for name in ("red", "green"):
            gw = Gateway(SITE, name=name, origin=backend().url, metrics=free_port())
            stack.callback(gw.close)
            for path in (gw.dir, gw.conf_file):
                os.chown(path, 65534, 65534)
            script = gw.dir / "as-nobody"
            shutil.copy(gw.binary, gw.dir / "gateway")
            script.write_text(f'#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups {gw.dir}/gateway "$@"\n')
            script.chmod(0o755)
            gw.binary = script
            for log in ("stderr", "stdout", "pid", "exit"):
                (gw.dir / log).unlink(missing_ok=True)
            gw.start()
            all_of_them.append(gw)
        for gw in all_of_them:
            assert gw.ask("GET", "/").status == 200
            assert uids(gw) == {65534}
        all_of_them[0].reload()
        all_of_them[0].stop()
        assert all_of_them[1].ask("GET", "/").status == 200
