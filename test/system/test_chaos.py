# SPDX-License-Identifier: Apache-2.0
"""Children that die or stop under load: service goes on, nothing shared is broken, they are replaced. C-1, S-NF-2"""
import os
import re
import signal
import threading
import time

import pytest

from chaos import KINDS, SITE, Load, in_flight, rampage, replaced, settled, states, whole
from gateway import SLOW, processes, until
from origin import Origin
from wire import WireError

pytestmark = pytest.mark.xdist_group("alone")
WORKERS = 3


@pytest.fixture
def origin():
    with Origin() as o:
        yield o


def site(gateway, url, extra="", **kw):
    return gateway(SITE + extra, origin=url, workers=WORKERS, **kw)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "worker"])
def test_killed(gateway, origin, kind):
    """kill -9 of any process that is no worker: not one request notices; it is replaced and does its work again."""
    gw = site(gateway, origin.url)
    with Load(gw) as load:
        old = gw.child(f"gw-{kind}")
        os.kill(old, signal.SIGKILL)
        load.goes_on()
        replaced(gw, kind, {old})
        load.goes_on()
        assert gw.reload().returncode == 0
        load.goes_on()
    assert not load.lost, load.lost[:5]
    gw.wait_log(rf"{kind} {old} \(slot 0\) was killed by signal 9")
    lines = len(gw.access_log())
    gw.ask("GET", "/1")
    gw.access_log(lines + 1)
    whole(gw, WORKERS)
    settled(gw)


def test_killed_worker(gateway, origin):
    """kill -9 of a worker: at most what its own connections had in flight is lost; the slot is filled again."""
    gw = site(gateway, origin.url)
    with Load(gw, clients=24) as load:
        for _ in range(3):
            workers = {p["pid"]: p["connections"] for p in gw.ctl_json("workers")["processes"] if p["kind"] == "worker"}
            victim, its = max(workers.items(), key=lambda w: w[1])
            before = len(load.lost)
            os.kill(victim, signal.SIGKILL)
            load.goes_on(100)
            replaced(gw, "worker", set(workers))
            load.goes_on(100)
            assert len(load.lost) - before <= its, load.lost
            whole(gw, WORKERS)
    settled(gw)
    assert len(gw.children("gw-worker")) == WORKERS


def test_in_flight_is_exact(gateway, backend):
    """Held requests over all workers: the dead worker's are given back, those of the others are not. F-PERF-01"""
    go = threading.Event()
    gw = site(gateway, backend(lambda x: (go.wait(60), x.respond(200, {}, b"ok"))).url)
    clients = [gw.client(timeout=60).request("GET", "/held") for _ in range(30)]
    until(lambda: in_flight(gw) == 30, 10, "30 requests in flight")
    held = {p["pid"]: p["connections"] for p in gw.ctl_json("workers")["processes"] if p["kind"] == "worker"}
    victim, lost = max(held.items(), key=lambda w: w[1])
    assert sum(held.values()) == 30 and lost > 0
    os.kill(victim, signal.SIGKILL)
    until(lambda: in_flight(gw) == 30 - lost, 10, "the dead worker's share to be given back")
    replaced(gw, "worker", set(held))
    assert in_flight(gw) == 30 - lost
    go.set()
    answered = 0
    for c in clients:
        try:
            answered += c.response().status == 200
        except (OSError, WireError):
            pass
        c.close()
    assert answered == 30 - lost
    settled(gw)


def test_stopped_worker(gateway, origin):
    """SIGSTOP of a worker: it is noticed and replaced, the others serve on, counts come back to zero."""
    gw = site(gateway, origin.url)
    with Load(gw) as load:
        workers = {p["pid"]: p["connections"] for p in gw.ctl_json("workers")["processes"] if p["kind"] == "worker"}
        victim, its = max(workers.items(), key=lambda w: w[1])
        os.kill(victim, signal.SIGSTOP)
        load.goes_on(20)
        replaced(gw, "worker", set(workers))
        load.goes_on(100)
    assert len(load.lost) <= its, load.lost
    gw.wait_log(rf"killing worker {victim} \(slot \d+\): no sign of life")
    assert victim not in processes() or processes()[victim][2] == "Z"
    settled(gw)


@pytest.mark.parametrize("kind", ["keeper", "prober", "admin", "logger"])
def test_stopped(gateway, origin, kind):
    """SIGSTOP of the others: no request notices, and they are replaced."""
    gw = site(gateway, origin.url)
    with Load(gw) as load:
        old = gw.child(f"gw-{kind}")
        os.kill(old, signal.SIGSTOP)
        load.goes_on()
        until(lambda: old not in gw.children(), 15, f"the stopped {kind} to be killed")
        replaced(gw, kind, {old})
        load.goes_on()
        assert gw.reload().returncode == 0
    assert not load.lost, load.lost[:5]
    settled(gw)


@pytest.mark.parametrize("step", ["after_compile", "before_commit", "after_commit", "after_publish"])
def test_keeper_killed_in_a_commit(gateway, origin, step):
    """The keeper dies at each step of a change set: the map stays whole, the reload gets a verdict, traffic goes on
    by the old configuration or the new one, and nothing in between. C-3, R-8.3"""
    gw = site(gateway, origin.url, env={"GATEWAY_TEST_KEEPER_STOP": f"{step}:kill"})
    more = ', { id = "more"; path = "/more/*"; service = "s"; policies = ( { policy = "fixed_response"; status = 418; } ); } );'
    with Load(gw) as load:
        before = gw.ctl_json("status")["generation"]
        old = gw.child("gw-keeper")
        done = gw.reload(SITE.replace('service = "s"; } );', 'service = "s"; }' + more), check=False)
        replaced(gw, "keeper", {old})
        load.goes_on()
        now = gw.ctl_json("status")["generation"]
        committed = step.startswith("after_") and step != "after_compile"
        assert gw.ask("GET", "/more/1").status == (418 if committed else 200)
        assert (now > before) == committed
        if not committed:
            assert done.returncode == 1 and "keeper" in done.stderr, done
        load.goes_on()
    assert not load.lost, load.lost[:5]
    settled(gw)


@pytest.mark.parametrize("step", ["before_commit", "after_commit"])
def test_keeper_stopped_in_a_commit(gateway, origin, step):
    """The same, stopped: requests are served, and when it goes on so does the reload."""
    gw = site(gateway, origin.url, env={"GATEWAY_TEST_KEEPER_STOP": step})
    keeper = gw.child("gw-keeper")
    codes = []
    with Load(gw) as load:
        gw.write_conf(SITE.replace('"/*"', '[ "/*", "/more" ]'))
        asking = threading.Thread(target=lambda: codes.append(gw.ctl("reload", check=False).returncode))
        asking.start()
        until(lambda: processes()[keeper][2] == "T", 10, "the keeper to stop")
        load.goes_on()
        os.kill(keeper, signal.SIGCONT)
        asking.join(30 * SLOW)
        load.goes_on()
    assert codes == [0] and not load.lost, load.lost[:5]
    settled(gw)


def test_loader_killed(gateway, origin):
    """kill -9 of the loader in mid-load: a failed reload that says so, not an outage."""
    gw = site(gateway, origin.url)
    routes = ",\n".join(f'{{ id = "r{i}"; path = "/r/{i}/*"; service = "s"; }}' for i in range(30000))
    with Load(gw) as load:
        before = gw.ctl_json("status")["generation"]
        gw.write_conf(SITE.replace("routes = (", "routes = ( " + routes + ","))
        codes = []
        asking = threading.Thread(target=lambda: codes.append(gw.ctl("reload", check=False)))
        asking.start()
        victim = until(lambda: min(gw.children("gw-loader"), default=None), 10, "the loader", 0.001)
        os.kill(victim, signal.SIGKILL)
        asking.join(30 * SLOW)
        assert codes[0].returncode == 1 and "loader" in codes[0].stderr, codes
        assert gw.ctl_json("status")["generation"] == before
        load.goes_on()
        gw.write_conf(SITE.replace('"/*"', '"/1/*"').replace('"/1/*"', '"/*"'))
        assert gw.reload().returncode == 0
    assert not load.lost, load.lost[:5]


def test_backs_off(gateway, origin):
    """One that dies again and again is started at longer intervals, and the rest goes on. C-1"""
    gw = site(gateway, origin.url)
    with Load(gw) as load:
        for _ in range(4):
            old = gw.child("gw-prober")
            os.kill(old, signal.SIGKILL)
            replaced(gw, "prober", {old})
        load.goes_on()
    waits = [int(n) for n in re.findall(r"prober \(slot 0\) starts again in (\d+) ms", gw.error_log())]
    assert waits == sorted(waits) and len(waits) >= 3 and waits[-1] > waits[0] and waits[-1] <= 500, waits
    restarts = [p["restarts"] for p in gw.ctl_json("workers")["processes"] if p["kind"] == "prober"]
    assert restarts == [4] and gw.metric("gateway_process_restarts_total", kind="prober") == 4
    assert not load.lost


def test_back_off_is_told(gateway):
    """status, the list of processes and the metrics say that one waits to be started again. C-1"""
    gw = gateway('''supervision = { respawn_min = "1h"; respawn_max = "1h"; };
                    routes = ( { id = "t"; path = "/*"; policies = ( { policy = "fixed_response"; } ); } );''')
    first = gw.child("gw-prober")
    assert gw.metric("gateway_process_up", kind="prober") == 1
    os.kill(first, signal.SIGKILL)
    replaced(gw, "prober", {first})
    os.kill(gw.child("gw-prober"), signal.SIGKILL)
    until(lambda: gw.ctl_json("status")["waiting_to_start"] == ["prober 0"], 10, "the back-off")
    assert [p["state"] for p in gw.ctl_json("workers")["processes"] if p["kind"] == "prober"] == ["dead"]
    assert gw.metric("gateway_process_up", kind="prober") == 0
    assert gw.ask("GET", "/").status == 200


def test_all_at_once(gateway, origin):
    """Every child killed in one moment: all come back, and serve."""
    gw = site(gateway, origin.url)
    old = set(gw.children())
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    until(lambda: (have := states(gw)) and not old & {pid for pid, _ in have.values()}, 20, "new processes")
    whole(gw, WORKERS)
    with Load(gw) as load:
        load.goes_on()
        assert gw.reload().returncode == 0
    assert not load.lost
    settled(gw)


def test_worker_killed_in_reload(gateway, origin):
    """Workers killed while reloads go on: each reload gets a verdict, the new worker runs the last generation."""
    gw = site(gateway, origin.url)
    with Load(gw) as load:
        for i in range(5):
            gw.write_conf(SITE.replace('"/*"', f'[ "/*", "/v{i}" ]'))
            gw.kill(signal.SIGHUP)
            os.kill(gw.child("gw-worker"), signal.SIGKILL)
            whole(gw, WORKERS)
            load.goes_on()
        gw.reload()
    settled(gw)
    status = gw.ctl_json("status")
    until(lambda: {p["generation"] for p in gw.ctl_json("workers")["processes"] if p["kind"] == "worker"} ==
          {status["generation"]}, 10, "one generation everywhere")


def test_rampage():
    """A short turn of make chaos."""
    began = time.monotonic()
    answered, lost = rampage(5 if SLOW == 1 else 8, WORKERS)
    print(answered, lost, time.monotonic() - began)
    assert answered > 100 and lost < answered / 5
