# SPDX-License-Identifier: Apache-2.0
"""Reloads: nothing lost, nothing half done, verdicts everywhere. C-4, R-8.1, R-8.3, S-AD-2, R-2.3"""
import hashlib
import os
import re
import signal
import socket
import threading
import time

import pytest

from gateway import SLOW, until
from ports import free_port
from torture_reload import torture
from wire import Client, WireError, ask

SITE = """
    workers = @workers@;
    http = { generation_header = "X-Generation"; };
    services = ( { id = "s"; url = "@origin@"; } );
    routes = ( { id = "all"; path = "@path@"; service = "s"; } );
    @listeners@
"""
MAIN = '{ id = "main"; address = "127.0.0.1:@port@"; }'


def listeners(*more):
    return f"listeners = ( {', '.join((MAIN,) + more)} );"


def words(origin, **kw):
    return {"origin": origin, "workers": 2, "path": "/*", "listeners": listeners(), **kw}


def site(gateway, origin, **kw):
    w = words(origin, **kw)
    return gateway(SITE.replace("@listeners@", w.pop("listeners")), **w)


def change(gw, origin, check=True, **kw):
    w = words(origin, **kw)
    return gw.reload(SITE.replace("@listeners@", w.pop("listeners")), check=check, **w)


def closed(address):
    try:
        with socket.create_connection(address, timeout=2):
            return False
    except OSError:
        return True


@pytest.mark.xdist_group("alone")
def test_torture():
    """A short turn of make torture-reload. C-4, S-NF-2"""
    figures = torture(30 if SLOW == 1 else 12)
    print(figures)
    assert figures["requests"] > 500


def test_good_reload_is_seen_everywhere(gateway, backend):
    """Exit 0 and the generation from gatewayctl; log, status, metrics and responses agree."""
    b = backend()
    gw = site(gateway, b.url)
    before = gw.ctl_json("status")
    done = change(gw, b.url, path="/next/*")
    generation = int(re.search(r"generation (\d+)", done.stdout)[1])
    assert generation > before["generation"]
    assert gw.ctl_json("status")["generation"] == gw.metric("gateway_generation") == generation
    assert int(gw.ask("GET", "/next/").get("X-Generation")) == generation
    gw.wait_log(rf"generation {generation}\b")
    reloads = gw.ctl_json("status")["reloads"]
    assert reloads["succeeded"] == before["reloads"]["succeeded"] + 1 and reloads["last_ok"] is True
    assert gw.metric("gateway_reloads_total", result="ok") == reloads["succeeded"]
    line = gw.access_log(1, lambda a: a["path"] == "/next/")[0]
    assert line["generation"] == generation
    workers = [p for p in gw.ctl_json("workers")["processes"] if p["kind"] == "worker"]
    assert {p["generation"] for p in workers} == {generation} and all(p["restarts"] == 0 for p in workers)


def test_same_configuration_again(gateway, backend):
    """A reload without a change is a success that changes no object."""
    gw = site(gateway, backend().url)
    assert "0 objects changed" in gw.reload().stdout


@pytest.mark.parametrize("bad,said", [
    ("syntax error here", "syntax error"), ('worker = 3;', 'did you mean "workers"'),
    ('services = ( { id = "x"; url = "http://:1"; } );', "services[x].url"), ('@include "missing.conf"', "include")])
def test_failed_reload_changes_nothing(gateway, backend, bad, said):
    """Refused with the errors by gatewayctl (exit 1), log and status; traffic and generation stay."""
    b = backend()
    gw = site(gateway, b.url)
    before = gw.ctl_json("status")
    text = SITE.replace("@listeners@", listeners())
    if "services" in bad:
        text = re.sub(r"services = .*\n", bad + "\n", text).replace('service = "s"', 'service = "x"')
    else:
        text += bad
    done = gw.reload(text, check=False)
    assert done.returncode == 1 and said in done.stderr, done
    assert "gateway.conf:" in done.stderr
    status = gw.ctl_json("status")
    assert status["generation"] == before["generation"]
    assert status["reloads"]["failed"] == before["reloads"]["failed"] + 1
    assert status["reloads"]["last_ok"] is False and said in status["reloads"]["last_error"]
    assert gw.metric("gateway_last_reload_ok") == 0
    gw.wait_log(r"(?s)error master.*gateway\.conf:\d+: .*" + re.escape(said) + ".*reload failed: nothing has changed")
    assert gw.ask("GET", "/x").status == 200
    gw.kill(signal.SIGHUP)
    until(lambda: gw.metric("gateway_reloads_total", result="failed") == status["reloads"]["failed"] + 1, 10,
          "the verdict on HUP")
    change(gw, b.url, path="/better/*")
    assert gw.ctl_json("status")["reloads"]["last_ok"] is True
    assert gw.ask("GET", "/better/").status == 200


def test_taken_port_fails_the_reload(gateway, backend):
    """A listener that cannot be bound fails the whole change: nothing else of it is in force either."""
    b = backend()
    gw = site(gateway, b.url)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = change(gw, b.url, check=False, path="/other/*",
                      listeners=listeners(f'{{ id = "more"; address = "127.0.0.1:{port}"; }}'))
        assert done.returncode == 1 and f"127.0.0.1:{port}" in done.stderr and "more" in done.stderr
    assert gw.ask("GET", "/x").status == 200 and gw.ask("GET", "/x").json()["target"] == "/x"


def test_listeners_come_and_go(gateway, backend):
    """Added, moved and removed while the others serve on; connections of a removed one finish."""
    b = backend()
    gw = site(gateway, b.url)
    one, two = free_port(), free_port()
    kept = gw.client()
    assert kept.ask("GET", "/").status == 200
    change(gw, b.url, listeners=listeners(f'{{ id = "more"; address = "127.0.0.1:{one}"; }}'))
    old = Client(("127.0.0.1", one))
    assert old.ask("GET", "/").status == 200
    change(gw, b.url, listeners=listeners(f'{{ id = "more"; address = "127.0.0.1:{two}"; }}'))
    assert ask(("127.0.0.1", two), "GET", "/").status == 200
    until(lambda: closed(("127.0.0.1", one)), 5, "the old port to be closed")
    assert old.ask("GET", "/").status == 200, "its connections go on"
    change(gw, b.url)
    until(lambda: closed(("127.0.0.1", two)), 5, "the removed port to be closed")
    change(gw, b.url, listeners=listeners(f'{{ id = "again"; address = "127.0.0.1:{one}"; }}'))
    assert ask(("127.0.0.1", one), "GET", "/").status == 200
    assert kept.ask("GET", "/").status == 200


def test_listener_settings_change_in_place(gateway, backend):
    """A limit of a listener holds for the next request of a connection that is open."""
    b = backend()
    gw = site(gateway, b.url)
    c = gw.client()
    assert c.ask("POST", "/", {}, b"x" * 100).status == 200
    change(gw, b.url, listeners='listeners = ( { id = "main"; address = "127.0.0.1:@port@"; limits = { body = "10"; }; } );')
    assert gw.ask("POST", "/", {}, b"x" * 100).status == 413


def test_workers_change(gateway, backend):
    """More and fewer workers by a reload: no request is lost, the ones that stay are not replaced."""
    b = backend()
    gw = site(gateway, b.url)
    first = set(gw.children("worker"))
    stop, wrong, count = threading.Event(), [], [0]

    def ask_on():
        while not stop.is_set():
            try:
                if gw.ask("GET", "/").status != 200:
                    wrong.append("status")
                count[0] += 1
            except (OSError, WireError) as e:
                wrong.append(repr(e))
    threads = [threading.Thread(target=ask_on, daemon=True) for _ in range(3)]
    for t in threads:
        t.start()
    for n in (4, 1, 3, 2):
        change(gw, b.url, workers=n)
        until(lambda: len([p for p in gw.ctl_json("workers")["processes"]
                           if p["kind"] == "worker" and p["state"] == "up"]) == n, 20, f"{n} workers")
        seen = count[0]
        until(lambda: count[0] > seen + 20, 10, "requests to be answered")
    stop.set()
    for t in threads:
        t.join(20)
    assert not wrong, wrong[:5]
    until(lambda: len(gw.children("worker")) == 2, 10, "those that retire to be gone")
    assert first & set(gw.children("worker")), "at least the first slot was never replaced"


def test_download_survives(gateway, backend):
    """A long answer goes on through reloads that change, replace and remove its own route."""
    go, end = threading.Event(), threading.Event()

    def handler(x):
        x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + b"a" * 100000)
        go.wait(30)
        x.send(b"b" * 100000)
        end.wait(30)
        x.send(b"c" * 200000)

    b, other = backend(handler), backend()
    gw = site(gateway, b.url)
    c = gw.client(timeout=60)
    c.request("GET", "/long")
    head = c.head()
    assert c.exactly(100000) == b"a" * 100000
    change(gw, other.url)
    go.set()
    assert c.exactly(100000) == b"b" * 100000
    change(gw, other.url, path="/elsewhere")
    for _ in range(5):
        change(gw, other.url, path="/again")
        change(gw, other.url, path="/elsewhere")
    end.set()
    assert hashlib.sha256(c.exactly(200000)).digest() == hashlib.sha256(b"c" * 200000).digest()
    assert head.status == 200
    assert c.ask("GET", "/elsewhere").status == 200, "the connection is good for the new configuration"
    until(lambda: gw.metric("gateway_endpoint_in_flight") == 0, 5, "in-flight counts of zero")


def test_settings_that_need_a_restart(gateway, backend):
    """They are accepted, and the verdict says that they wait for the next start."""
    b = backend()
    gw = site(gateway, b.url)
    text = SITE.replace("@listeners@", listeners()) + 'limits = { worker_slots = 8; map_size = "32M"; };'
    said = gw.reload(text).stdout
    assert "next start" in said and "limits.map_size" in said, said


def test_reloads_at_once(gateway, backend):
    """Several who ask at the same time each get a verdict."""
    gw = site(gateway, backend().url)
    answers = []

    def go():
        answers.append(gw.ctl("reload", check=False).returncode)
    threads = [threading.Thread(target=go) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert answers == [0] * 8


def test_many_routes(gateway, backend):
    """5,000 routes load, match, and one more is added in a moment. R-1.2"""
    b = backend()
    routes = ",\n".join(f'{{ id = "r{i}"; path = "/r/{i}/*"; service = "s"; }}' for i in range(5000))
    text = f'services = ( {{ id = "s"; url = "@origin@"; }} );\nroutes = ( {routes} @more@ );'
    gw = gateway(text, origin=b.url, more="")
    for i in (0, 1, 2500, 4999):
        assert gw.ask("GET", f"/r/{i}/x").status == 200
    assert gw.ask("GET", "/r/5000/x").status == 404
    began = time.monotonic()
    said = gw.reload(text, more=', { id = "one"; path = "/one"; service = "s"; }').stdout
    assert time.monotonic() - began < 5 * SLOW
    assert re.search(r"\b1 objects? changed", said), said
    assert gw.ask("GET", "/one").status == 200
    assert gw.ctl_json("status")["routes"] == 5001


def test_unreadable_file(gateway, backend):
    """A configuration that is gone or is a directory is a failed reload, not an outage."""
    b = backend()
    gw = site(gateway, b.url)
    os.rename(gw.conf_file, gw.dir / "kept")
    done = gw.reload(check=False)
    assert done.returncode == 1 and "gateway.conf" in done.stderr
    gw.conf_file.mkdir()
    assert gw.reload(check=False).returncode == 1
    gw.conf_file.rmdir()
    os.mkfifo(gw.conf_file)
    assert gw.reload(check=False).returncode == 1
    gw.conf_file.unlink()
    os.rename(gw.dir / "kept", gw.conf_file)
    gw.reload()
    assert gw.ask("GET", "/").status == 200


def test_files_are_watched(gateway, backend):
    """watch_files: a file that is written, replaced or added is loaded by itself; a bad one changes nothing. R-8.1"""
    origin = backend().url
    config = SITE.replace("@listeners@", f"watch_files = true;\n{listeners()}")
    gw = gateway(config, **words(origin))
    workers = gw.children("worker")

    def found(path):
        return lambda: gw.ask("GET", path).status == 200

    gw.write_conf(config, **words(origin, path="/new/*"))
    until(found("/new/x"), 10, "the changed file")
    gw.child("discovery")
    (gw.dir / "conf.d").mkdir()
    (gw.dir / "conf.d" / "more.conf").write_text('routes = ( { id = "more"; path = "/more"; service = "s"; } );')
    until(found("/more"), 10, "the added file")
    (gw.dir / "conf.d" / "more.conf").write_text("routes = (")
    gw.wait_log("reload failed")
    assert found("/more")()
    (gw.dir / "conf.d" / "more.conf").unlink()
    until(lambda: gw.ask("GET", "/more").status == 404, 10, "the file to be gone")
    assert gw.children("worker") == workers
