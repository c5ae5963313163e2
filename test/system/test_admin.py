# SPDX-License-Identifier: Apache-2.0
"""The admin API and gatewayctl, /metrics, the access log. C-8, F-OBS-02, G-FR-009, G-SC-007, R-10.1, R-10.2, R-10.3,
R-11.1"""
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from urllib.parse import quote

import pytest

from gateway import SLOW, TOP, Gateway, until
from ports import free_port
from wire import Client, WireError, ask, raw

ROOT = os.geteuid() == 0
SITE = """
    workers = 2;
    services = ( { id = "s"; endpoints = ( { url = "@one@"; }, { url = "@two@"; } ); health = { passive = false; }; },
                 { id = "other"; url = "@one@"; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; },
               { id = "user"; path = "/users/{id}"; method = [ "GET", "PUT" ]; service = "other"; },
               { id = "teapot"; path = "/tea"; policies = ( { policy = "fixed_response"; status = 418; } ); } );
"""
V1 = "/api/gateway/v1"


@pytest.fixture
def site(gateway, backend):
    """(gateway, its two backends)"""
    one, two = backend(name="one"), backend(name="two")
    return gateway(SITE, one=one.url, two=two.url), one, two


def endpoints(gw):
    return {(e["service"], e["endpoint"]): e for e in gw.ctl_json("endpoints", "list")["endpoints"]}


def name_of(b):
    return f"127.0.0.1:{b.port}"


# --- gatewayctl --------------------------------------------------------------------------------------------
# Every command: arguments, words its table shows, keys of its JSON. {e} is an endpoint's name, {dir} the directory.
COMMANDS = {
    "status": ("", ["status", "generation", "ready", "console.state", "state.overrides"],
               ["status", "generation", "workers", "fill", "reloads", "console", "state"]),
    "reload": ("", ["reloaded: generation"], ["ok", "generation", "changed", "report"]),
    "config check": ("{dir}/gateway.conf", ["configuration is ok"], ["file", "ok", "report"]),
    "config show": ("", ["services = (", 'id = "s"'], ["settings", "listeners", "services", "routes"]),
    "apply": ("-f {dir}/more.json", ["route", "more", "created"], ["generation", "changed", "changes"]),
    "diff": ("1", ["+ route more", "path = "], ["from", "to", "changes"]),
    "get": ("routes", ["ROUTE", "SOURCE", "more", "admin"], ["routes", "total"]),
    "set": ("route more priority=7", ["replaced"], ["generation", "changed", "changes"]),
    "export": ("", ['"routes": [', '"more"'], ["listeners", "services", "routes"]),
    "generations": ("", ["GENERATION", "AUTHOR", "uid="], ["generations"]),
    "rollback": ("1", ["more", "deleted"], ["generation", "changed", "changes"]),
    "delete": ("route again", ["again", "deleted"], ["generation", "changed", "changes"]),
    "override list": ("", ["OVERRIDE", "rollback-"], ["overrides"]),
    "override drop": ("{override}", ["generation"], ["generation", "changed", "dropped"]),
    "routes list": ("", ["ROUTE", "SERVICE", "user", "/users/{{id}}"], ["routes"]),
    "routes test": ("GET /users/7", ["user", "CANDIDATE", "TAKEN"], ["matched", "route", "params", "tried"]),
    "services": ("", ["SERVICE", "USABLE", "other"], ["services"]),
    "endpoints list": ("", ["ENDPOINT", "STATE", "{e}"], ["endpoints"]),
    "endpoints up": ("s {e}", ["in force"], ["changed", "changes"]),
    "endpoints down": ("s {e} 1s", ["in force"], ["changed", "changes"]),
    "endpoints drain": ("s {e} 1s", ["in force"], ["changed", "changes"]),
    "endpoints none": ("s *", ["in force"], ["changed", "changes"]),
    "endpoints weight": ("s {e} 5 1s", ["in force"], ["changed", "changes"]),
    "endpoints set": ("s http://{e}=3", ["endpoints", "replaced"], ["changed", "changes"]),
    "endpoints add": ("s http://127.0.0.9:99", ["endpoints", "replaced"], ["changed", "changes"]),
    "endpoints remove": ("s 127.0.0.9:99", ["endpoints", "replaced"], ["changed", "changes"]),
    "endpoints reset": ("s", ["endpoints"], ["changed", "changes"]),
    "certificates": ("", ["ID", "NAMES", "EXPIRES", "STATE"], None),  # its JSON is a list: unit/admin
    "workers": ("", ["KIND", "PID", "keeper", "worker"], ["processes"]),
    "stats": ("", ["gateway_http_requests_total"], ["counters", "reasons"]),
    "metrics": ("", ["# TYPE gateway_http_requests_total counter"], None),
    "log level": ("", ["level", "info"], ["level"]),
    "drain": ("", ["draining"], ["status"]),
    "rollout status": ("", [], None),  # needs a console: test_admin_rollout.py
}


def test_every_command(site):
    """Each command of the help: a table for people, JSON for machines, exit 0. (drain comes last: it ends it.)"""
    gw, one, _ = site
    listed = re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)?)(?: |$)", gw.ctl("--help").stdout.split("commands:\n")[1])
    assert set(listed) == set(COMMANDS)
    (gw.dir / "more.json").write_text(json.dumps({"routes": [
        {"id": "more", "path": "/more", "service": "s"}, {"id": "again", "path": "/again", "service": "s"}]}))

    def prepare(command):
        if command == "delete":  # it went with the rollback
            gw.ctl("apply", "-f", gw.dir / "more.json")
        if command == "endpoints reset":
            gw.ctl("endpoints", "set", "s", one.url)
        if command.startswith("override"):  # a file's route changes, and is rolled back
            gw.reload(SITE)
            before = gw.api("GET", V1 + "/status").json()["generation"]
            gw.reload(SITE.replace("status = 418", "status = 419"))
            gw.ctl("rollback", before)
    for command, (args, shows, keys) in COMMANDS.items():
        if command in ("drain", "rollout status"):
            continue
        for json_wanted in (False, True) if keys else (False,):
            prepare(command)
            names = [o["name"] for o in gw.api("GET", V1 + "/overrides").json()["overrides"]]
            words = [*command.split(), *args.format(e=name_of(one), dir=gw.dir, override=names[0] if names else "none").split()]
            if json_wanted:
                if command in ("apply", "set", "rollback", "diff", "get", "export"):
                    gw.ctl("apply", "-f", gw.dir / "more.json")
                assert set(keys) <= set(gw.ctl_json(*words)), command
                continue
            out = gw.ctl(*words).stdout
            for word in shows:
                assert word.format(e=name_of(one)) in out, (command, out)
    out = gw.ctl_json("drain")
    assert out["status"] == "draining"
    until(lambda: gw.exit_status() is not None, 15, "the end of the drain")
    assert gw.stop() == 0


def test_exit_codes(site, tmp_path):
    """0 done, 1 refused, 2 wrong usage, 3 not reachable; words on standard error."""
    gw, one, _ = site

    def code(*args, **kw):
        done = gw.ctl(*args, check=False, **kw)
        assert done.returncode == 0 or done.stderr or "matched" in done.stdout, args
        return done.returncode

    assert code("status") == 0
    assert code("endpoints", "list", "nobody") == 1
    assert code("endpoints", "down", "s", "127.0.0.1:1") == 1
    assert code("endpoints", "down", "s", name_of(one), "soon") == 1
    assert code("log", "level", "loud") == 1
    assert code("routes", "test", "PATCH", "/users/7/x?") == 0
    (tmp_path / "bad.conf").write_text("worker = 1;")
    assert gw.ctl("config", "check", tmp_path / "bad.conf", check=False).returncode == 1
    for wrong in ([], ["nonsense"], ["routes"], ["routes", "test", "GET"], ["endpoints", "weight", "s", "x", "much"],
                  ["endpoints", "weight", "s", "x", "1001"],
                  ["--no-such-option"], ["config", "show", "some"], ["--timeout", "0", "status"]):
        assert code(*wrong) == 2, wrong
    done = subprocess.run([str(gw.ctl_binary), "-s", str(tmp_path / "nothing.sock"), "status"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 3 and "nothing.sock" in done.stderr
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(tmp_path / "deaf.sock"))
        s.listen()
        done = subprocess.run([str(gw.ctl_binary), "--timeout", "1", "-s", str(tmp_path / "deaf.sock"), "status"],
                              capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 3
    done = gw.ctl("--version")
    assert re.fullmatch(r"gatewayctl \S+\n", done.stdout)


def test_verdicts(site):
    """down, drain, up, none and weight take effect at once on every worker; those given for a time expire. F-K8S-02"""
    gw, one, two = site

    def served(n=12):
        return {gw.ask("GET", "/").json()["backend"] for _ in range(n)}

    assert served() == {"one", "two"}
    for verdict in ("down", "drain"):
        gw.ctl("endpoints", verdict, "s", name_of(one))
        assert served() == {"two"}
        assert endpoints(gw)["s", name_of(one)]["state"] == verdict
        gw.ctl("endpoints", "none", "s", name_of(one))
        assert served() == {"one", "two"}
    gw.ctl("endpoints", "down", "s", "*")
    answer = gw.ask("GET", "/")
    assert answer.status == 503 and answer.json()["reason"] == "no_endpoint"
    assert {s["id"]: s["_status"]["status"] for s in gw.ctl_json("services")["services"]} == {"s": "down", "other": "up"}
    assert gw.ask("GET", "/users/1").status == 200, "the other service is not concerned"
    gw.ctl("endpoints", "up", "s", "*")
    gw.ctl("endpoints", "weight", "s", name_of(two), 0)
    assert served() == {"one"}
    gw.ctl("endpoints", "weight", "s", name_of(two), 3)
    counts = [gw.ask("GET", "/").json()["backend"] for _ in range(40)]
    assert counts.count("two") == 30
    gw.ctl("endpoints", "down", "s", name_of(one), "700ms")
    assert served(4) == {"two"}
    assert endpoints(gw)["s", name_of(one)]["verdict_until"]
    until(lambda: served(4) == {"one", "two"}, 5, "the verdict to expire")


def test_verdicts_survive(site):
    """A verdict outlives a reload, every worker, the keeper, and the instance. F-K8S-02"""
    gw, one, _ = site
    gw.ctl("endpoints", "down", "s", name_of(one))
    workers = set(gw.children("gw-worker"))
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(gw.children("gw-worker")) == len(workers) and not workers & set(gw.children("gw-worker")), 10,
          "other workers")
    gw.wait_ready()
    assert {gw.ask("GET", "/").json()["backend"] for _ in range(6)} == {"two"}
    gw.reload(SITE + 'http = { server_name = "again"; };')
    assert endpoints(gw)["s", name_of(one)]["state"] == "down"
    old = gw.child("gw-keeper")
    os.kill(old, signal.SIGKILL)
    until(lambda: gw.children("gw-keeper") and old not in gw.children("gw-keeper"), 10, "another keeper")
    gw.reload(SITE)
    assert endpoints(gw)["s", name_of(one)]["state"] == "down"
    gw.stop()
    gw.start()
    assert endpoints(gw)["s", name_of(one)]["state"] == "down"
    assert {gw.ask("GET", "/").json()["backend"] for _ in range(6)} == {"two"}


def test_drain_of_an_endpoint(gateway, backend):
    """No new requests go there; the one in flight ends well."""
    gate = threading.Event()
    slow = backend(lambda x: (gate.wait(20), x.respond(200, {}, b"ok")), name="slow")
    gw = gateway(SITE, one=slow.url, two=slow.url.replace("127.0.0.1", "127.0.0.2"))
    c = gw.client()
    c.request("GET", "/users/1")
    until(lambda: endpoints(gw)["other", name_of(slow)]["in_flight"] == 1, 5, "the request in flight")
    gw.ctl("endpoints", "drain", "other", name_of(slow))
    assert gw.ask("GET", "/users/2").status == 503
    gate.set()
    assert c.response().body == b"ok"
    until(lambda: endpoints(gw)["other", name_of(slow)]["in_flight"] == 0, 5, "zero in flight")


def test_routes_test(site):
    """It says which route takes a request and why the others do not; as the data plane would. R-1.2, G-SC-007"""
    gw, _, _ = site
    said = gw.ctl_json("routes", "test", "GET", "http://any.example/users/a%2fb")
    assert (said["matched"], said["route"], said["service"]) == (True, "user", "other")
    assert said["params"]["id"] and said["pattern"] == "/users/{id}"
    assert gw.ctl_json("routes", "test", "DELETE", "/users/7")["route"] == "all"
    gw.reload(SITE.replace('{ id = "all"; path = "/*"; service = "s"; },', ""))
    done = gw.ctl("--json", "routes", "test", "DELETE", "/users/7", check=False)
    said = json.loads(done.stdout)
    assert [t for t in said["tried"] if t["route"] == "user" and not t["taken"] and "method" in t["why"]]
    assert done.returncode == 1 and said["status"] == 405 and set(said["allow"].split(", ")) == {"GET", "HEAD", "PUT"}
    answer = gw.ask("DELETE", "/users/7")
    assert answer.status == 405 and set(answer.get("Allow").split(", ")) == {"GET", "HEAD", "PUT"}
    assert gw.ctl("routes", "test", "GET", "/nowhere", check=False).returncode == 1


def test_config_show(site, tmp_path):
    """The configuration in force, as text that loads again and as JSON, with and without defaults."""
    gw, _, _ = site
    short, whole = gw.ctl("config", "show").stdout, gw.ctl("config", "show", "all").stdout
    assert "requests_per_connection" in whole and "requests_per_connection" not in short
    for text in (short, whole):
        (tmp_path / "shown.conf").write_text(text)
        assert gw.ctl("config", "check", tmp_path / "shown.conf").returncode == 0
    shown = gw.ctl_json("config", "show")
    route = next(r for r in shown["routes"] if r["id"] == "user")
    assert route["file"] == str(gw.conf_file) and gw.conf_file.read_text().splitlines()[route["line"] - 1].strip() \
        .startswith('{ id = "user"')


def test_config_check(site, tmp_path):
    """Without a file it is the running instance's; JSON says file, verdict and every line. R-8.3"""
    gw, _, _ = site
    assert gw.ctl("config", "check").stdout.startswith(f"{gw.conf_file}: configuration is ok")
    bad = tmp_path / "bad.conf"
    bad.write_text("wokers = 2;\nnonsense = 1;\n")
    run = gw.ctl("--json", "config", "check", bad, check=False)
    told = json.loads(run.stdout)
    assert run.returncode == 1 and told["file"] == str(bad) and told["ok"] is False
    assert f"{bad}:1: wokers" in told["report"][0] and f"{bad}:2: nonsense" in told["report"][1]


def test_tables_are_for_people(gateway, backend):
    """No JSON in them: members of members get names with dots, lists have commas, what did not resolve is named."""
    gw = gateway("""
        supervision = { resolve_timeout = "1s"; };
        services = ( { id = "s"; url = "http://no-such-host.invalid"; } );
        routes = ( { id = "two"; path = [ "/a", "/b/{id}" ]; method = [ "GET", "PUT" ]; service = "s"; } );""")
    shown = {argv: gw.ctl(*argv.split()).stdout for argv in ("status", "routes list", "routes test GET /b/7")}
    assert re.search(r"(?m)^fill.map_bytes +\d+$", shown["status"])
    assert re.search(r"(?m)^s +no-such-host.invalid +\S", shown["status"]), shown["status"]
    assert re.search(r"(?m)^two +- +/a, /b/\{id\} +GET, PUT ", shown["routes list"])
    assert re.search(r"(?m)^params.id +7$", shown["routes test GET /b/7"])
    assert not any(re.search('[]{}"[]', text.replace("{id}", "")) for text in shown.values())


def test_log_level(site):
    """It changes while running, for every process, and says so. Nobody falls over it."""
    gw, _, _ = site
    before = gw.children()
    assert "step ROUTE" not in gw.error_log()
    assert gw.ctl_json("log", "level", "debug")["level"] == "debug"
    until(lambda: gw.ctl_json("log", "level")["level"] == "debug", 5, "the level")

    def noisy():
        gw.ask("GET", "/")
        return re.search(r"debug worker", gw.error_log())
    until(noisy, 5, "debug lines of workers")
    for level in ("error", "warn", "info", "debug", "error"):
        gw.ctl("log", "level", level)
        until(lambda: gw.ctl_json("log", "level")["level"] == level, 5, "the level")
    gw.ctl("endpoints", "none", "s", "*")  # the keeper answers
    assert gw.children() == before
    assert "malformed" not in gw.error_log() and "spoilt" not in gw.error_log()


# --- the API -----------------------------------------------------------------------------------------------
def test_unknown_calls(site):
    """Unknown paths, versions and arguments are refused by name. (Every call: test_admin_api.py.)"""
    gw, _, _ = site
    assert gw.api("GET", "/api/gateway/v2/status").status == 404
    assert gw.api("GET", V1 + "/endpoints?service=nobody").status == 404
    wrong = gw.api("DELETE", V1 + "/status")
    assert wrong.status == 405 and wrong.get("Allow") == "GET, HEAD"
    assert wrong.get("Content-Type") == "application/problem+json"


HOSTILE = {
    "nonsense": b"\x00\x01\x02 hello\r\n\r\n",
    "no host": b"GET /metrics HTTP/1.1\r\n\r\n",
    "bare LF": b"GET /metrics HTTP/1.1\nHost: a\n\n",
    "two lengths": b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunked": b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": b"PUT /api/gateway/v1/log/level HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "endless line": b"GET /" + b"a" * 20000,
    "endless head": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 5000,
    "huge body announced": b"PUT /api/gateway/v1/log/level HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
    "huge body sent": b"PUT /api/gateway/v1/log/level HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                      + b"10000\r\n%b\r\n" % (b"x" * 65536) * 20 + b"0\r\n\r\n",
}
BODIES = [b"", b"{", b"[]", b"null", b'"x"', b"1", b'{"level": 1}', b'{"level": null}', b'{"level": "info", "level": "x"}',
          b"{" * 100000, b'{"level": "\\ud800"}', b'{"level": "' + b"x" * 500000 + b'"}', b"\xff\xfe", b'{"level": "info"} x']


def test_hostile_to_the_socket(site):
    """Bytes that are no request, bodies that are no JSON, too much of either: refused, counted on nobody. C-8"""
    gw, one, _ = site
    admin = gw.child("gw-admin")
    for name, data in HOSTILE.items():
        try:
            answer = raw(gw.socket, data)
        except BrokenPipeError:
            answer = b"HTTP/1.1 4"  # it was refused before all of it was sent
        assert re.match(rb"HTTP/1\.1 (4|501|505)", answer), (name, answer[:200])
    target = f"{V1}/endpoints/s/{quote(name_of(one), safe='')}"
    for body in BODIES:
        assert gw.api("PUT", V1 + "/log/level", body).status == 400, body[:50]
        assert gw.api("POST", target, body).status in (400, 422), body[:50]
    for body in (b'{"verdict": "gone"}', b'{"weight": -1}', b'{"weight": 1001}', b'{"weight": "1"}', b'{"weight": 1.5}',
                 b'{"verdict": "up", "expires": 5}',
                 b'{"verdict": "up", "expires": "soon"}'):
        answer = gw.api("POST", target, body)
        assert answer.status in (400, 422) and answer.json()["detail"], body
    for path in ("/endpoints/s/%00", "/endpoints/%zz/x", "/endpoints//x", "/endpoints/" + "a" * 5000 + "/b",
                 "/match?url=%ff%00", "/match?url=", "/match?url=http://[::1", "/endpoints?service=%",
                 "/match?url=/&header=" + "a" * 3000):
        answer = gw.api("POST" if path.startswith("/endpoints/") else "GET", V1 + path,
                        b'{"verdict":"up"}' if path.startswith("/endpoints/") else None)
        assert answer.status in (200, 400, 404, 422), (path[:60], answer)
    assert gw.child("gw-admin") == admin
    assert gw.api("GET", V1 + "/status").json()["status"] == "ready"


def test_slow_and_many(site):
    """Clients that send slowly, never read, or come in crowds do not keep others waiting."""
    gw, _, _ = site
    admin = gw.child("gw-admin")
    slow = [Client(gw.socket) for _ in range(20)]
    for c in slow:
        c.send(b"GET /metr")
    deaf = [Client(gw.socket) for _ in range(5)]
    for c in deaf:
        c.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 200)
    assert gw.api("GET", V1 + "/status").status == 200
    crowd = []
    for _ in range(400):
        try:
            crowd.append(Client(gw.socket))
        except OSError:
            break
    for c in crowd + slow + deaf:
        c.close()

    def answers():
        try:
            return gw.api("GET", V1 + "/status").status == 200
        except (OSError, WireError):
            return False
    until(answers, 10, "the admin socket to answer")
    assert gw.child("gw-admin") == admin


def test_pipelined_and_kept_alive(site):
    """One connection, many questions, one after another and ahead."""
    gw, _, _ = site
    with Client(gw.socket) as c:
        for _ in range(20):
            assert c.ask("GET", V1 + "/log/level").status == 200
        c.send(b"GET /api/gateway/v1/log/level HTTP/1.1\r\nHost: a\r\n\r\n" * 5)
        for _ in range(5):
            assert c.response().json()["level"] == "info"


@pytest.mark.skipif(not ROOT, reason="needs root to become others")
def test_roles(gateway, backend):
    """By default root is admin, the gateway's group looks, others get nothing; a table says otherwise. F-SEC-03"""
    b = backend()
    gw = gateway(SITE, one=b.url, two=b.url.replace("127.0.0.1", "127.0.0.2"))
    shutil.copy(gw.ctl_binary, gw.dir / "gatewayctl")
    with open(f"/proc/{gw.child('gw-worker')}/status", encoding="ascii") as f:
        group = re.search(r"(?m)^Gid:\s+(\d+)", f.read())[1]

    def as_user(uid, gid, *args):
        return subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", str(gw.dir / "gatewayctl"),
                               "-s", gw.socket, *args], capture_output=True, text=True, check=False, timeout=30 * SLOW)

    nobody = as_user(65534, 65534, "status")
    assert nobody.returncode in (1, 3) and nobody.stderr
    viewer = as_user(65534, group, "status")
    assert viewer.returncode == 0, viewer
    for command in (["reload"], ["drain"], ["log", "level", "debug"], ["endpoints", "down", "s", "*"],
                    ["set", "route", "all", "priority=1"], ["delete", "route", "all"], ["rollback", "1"],
                    ["override", "drop", "x"], ["endpoints", "reset", "s"], ["reload", "--all"]):
        refused = as_user(65534, group, *command)
        assert refused.returncode == 1 and "needs role admin" in refused.stderr, (command, refused)
    for command in (["metrics"], ["get", "routes"], ["export"], ["generations"], ["override", "list"]):
        assert as_user(65534, group, *command).returncode == 0, command
    gw.reload(SITE + 'admin = { metrics_listen = ""; roles = ( { user = "65534"; role = "admin"; }, '
              '{ user = "root"; role = "viewer"; } ); };')
    assert as_user(65534, group, "log", "level", "info").returncode == 0
    refused = gw.ctl("reload", check=False)
    assert refused.returncode == 1 and "needs role admin" in refused.stderr


def test_metrics_over_tcp(gateway, backend):
    """/metrics and nothing else on the TCP listener."""
    port = free_port()
    b = backend()
    gw = gateway(SITE + f'admin = {{ metrics_listen = "127.0.0.1:{port}"; }};', one=b.url,
                 two=b.url.replace("127.0.0.1", "127.0.0.2"))
    where = ("127.0.0.1", port)
    answer = ask(where, "GET", "/metrics")
    assert answer.status == 200 and answer.get("Content-Type").startswith("text/plain; version=0.0.4")
    for method, path in (("GET", V1 + "/status"), ("POST", V1 + "/reload"), ("GET", "/"), ("POST", V1 + "/drain")):
        assert ask(where, method, path, {}, b"" if method == "POST" else None).status == 404
    assert gw.ask("GET", "/health").status == 200


# --- metrics -----------------------------------------------------------------------------------------------
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*"(?:,|(?=\})))*)\})? '
                    r'([+-]?(?:Inf|NaN|\d+(?:\.\d+)?(?:e[+-]?\d+)?))')


class Family:
    def __init__(self, name):
        self.name, self.type, self.help, self.samples = name, None, None, {}

    def owns(self, sample):
        if self.type == "histogram":
            return sample in (self.name + "_bucket", self.name + "_sum", self.name + "_count")
        return sample == self.name


def exposition(text):
    """The Prometheus text format, strictly: {name: Family}."""
    assert text.endswith("\n") and "\r" not in text
    families, now = {}, None
    for line in text[:-1].split("\n"):
        m = re.fullmatch(r"# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)", line)
        if m:
            kind, name, words = m.groups()
            if now is None or now.name != name:
                assert name not in families, f"{name} stands in two places"
                now = families[name] = Family(name)
            assert not now.samples, f"{kind} of {name} behind its samples"
            if kind == "HELP":
                assert now.help is None and now.type is None, f"HELP of {name} twice or late"
                now.help = words
            else:
                assert now.type is None and words in ("counter", "gauge", "histogram"), line
                now.type = words
            continue
        m = SAMPLE.fullmatch(line)
        assert m, f"not a line of the format: {line!r}"
        assert now and now.help and now.type and now.owns(m[1]), f"a sample outside its family: {line!r}"
        labels = tuple(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', m[2] or ""))
        assert len({n for n, _ in labels}) == len(labels), line
        key = (m[1], tuple(sorted(labels)))
        assert key not in now.samples, f"twice: {line!r}"
        now.samples[key] = float(m[3])
    for f in families.values():
        check_family(f)
    return families


def check_family(f):
    assert f.type, f.name
    if f.type == "counter":
        assert f.name.endswith("_total"), f.name
    for (name, labels), value in f.samples.items():
        assert not math.isnan(value) and (f.type == "gauge" or value >= 0), (name, labels, value)
    if f.type == "histogram":
        check_histogram(f)


def check_histogram(f):
    rows = {}
    for (name, labels), value in f.samples.items():
        rest = tuple(pair for pair in labels if pair[0] != "le")
        rows.setdefault(rest, {})[name.removeprefix(f.name), dict(labels).get("le")] = value
    for rest, row in rows.items():
        buckets = sorted((float(le.replace("+Inf", "inf")), v) for (kind, le), v in row.items() if kind == "_bucket")
        assert [v for _, v in buckets] == sorted(v for _, v in buckets), (f.name, rest)
        assert buckets[-1] == (math.inf, row["_count", None]) and ("_sum", None) in row, (f.name, rest)


def test_exposition(site):
    """Line by line: families once, HELP and TYPE first, samples together, none twice. R-10.1, R-10.3"""
    gw, one, _ = site
    for path in ("/", "/users/1", "/tea", "/api/gateway/status"):
        gw.ask("GET", path)
    raw_text = gw.api("GET", "/metrics").body.decode("ascii")
    families = exposition(raw_text)
    for name in ("gateway_http_requests_total", "gateway_errors_total", "gateway_client_connections",
                 "gateway_route_duration_seconds", "gateway_service_first_byte_seconds", "gateway_endpoint_up",
                 "gateway_reloads_total", "gateway_generation", "gateway_map_used_bytes", "gateway_endpoint_rows_used",
                 "gateway_process_resident_bytes", "gateway_process_cpu_seconds_total", "gateway_process_descriptors",
                 "gateway_access_ring_bytes"):
        assert name in families, name
    kinds = {dict(labels)["kind"] for _, labels in families["gateway_process_resident_bytes"].samples}
    assert kinds == {"master", "keeper", "worker", "prober", "logger", "admin"}
    ups = {dict(labels)["endpoint"]: v for (_, labels), v in families["gateway_endpoint_up"].samples.items()}
    assert ups[name_of(one)] == 1
    assert gw.ctl("metrics").stdout.split("gateway_", 1)[0] == raw_text.split("gateway_", 1)[0]


def test_no_sample_twice(gateway, backend):
    """Numbers that routes and services leave are given to others, and two host names may have one address: neither
    writes a sample twice, or what one counted under the name of another. R-10.1"""
    conf = '''services = ( { id = "%s"; endpoints = ( { url = "http://localhost:@at@"; }, { url = "@one@"; } ); } );
              routes = ( { id = "%s"; path = "/%s"; service = "%s"; } );'''
    one = backend()
    gw = gateway(conf % (("a",) * 4), one=one.url, at=one.port)
    for count, name in enumerate("abcd", 1):
        gw.reload(conf % ((name,) * 4), one=one.url, at=one.port)
        for _ in range(count):
            assert gw.ask("GET", f"/{name}").status == 200
    # Counted when the answer is on its way, so a moment after the client has it.
    until(lambda: gw.metric("gateway_route_requests_total", route="d", code="2xx") == 4, 5, "the count")
    samples = [line.rsplit(" ", 1) for line in gw.ctl("metrics").stdout.splitlines() if not line.startswith("#")]
    names = [name for name, _ in samples]
    assert len(names) == len(set(names)), {n for n in names if names.count(n) > 1}
    assert gw.metric("gateway_metric_rows_used") == 8


def test_counters_are_exact(site):
    """After so many requests each counter says so many, summed over the workers. F-OBS-02, R-10.1, R-10.2"""
    gw, one, two = site
    until(lambda: gw.metric("gateway_client_connections") == 0, 5, "the probe of the start to be counted")
    before = gw.metrics()
    with gw.client() as c:
        for i in range(30):
            assert c.ask("GET", f"/{i}").status == 200
    for i in range(10):
        gw.ask("POST", "/users/1", {}, b"x" * 10)
        gw.ask("PUT", "/users/1", {}, b"y" * 100)
        gw.ask("GET", "/tea")
        raw(gw.address, b"BAD\r\n\r\n")
    with gw.client() as c:
        c.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" * 5)
        for _ in range(5):
            c.response()

    def delta(name, **labels):
        now, want = gw.metrics(), set(labels.items())
        return sum(v - before.get(k, 0) for k, v in now.items() if k[0] == name and want <= set(k[1]))

    until(lambda: delta("gateway_http_requests_total") >= 75, 5, "the counters")
    gw.wait_metric("gateway_http_requests_active", 0)
    assert delta("gateway_http_requests_total") == 75
    assert delta("gateway_route_requests_total", route="all", code="2xx") == 45
    assert delta("gateway_route_requests_total", route="user", code="2xx") == 10
    assert delta("gateway_route_requests_total", route="teapot", code="4xx") == 10
    assert delta("gateway_route_request_bytes_total", route="user") == 1000
    assert delta("gateway_route_request_bytes_total", route="all") == 100
    assert delta("gateway_errors_total", reason="bad_request") == 10
    assert delta("gateway_errors_total") == 10
    assert delta("gateway_service_responses_total", service="s", code="2xx") == 45
    assert delta("gateway_service_responses_total", service="other", code="2xx") == 10
    assert delta("gateway_route_duration_seconds_count", route="all") == 45
    assert delta("gateway_service_first_byte_seconds_count", service="s") == 45
    assert delta("gateway_endpoint_picks_total") == 55 == len(one.requests) + len(two.requests)
    assert delta("gateway_client_connections_total") == 42
    stats = gw.ctl_json("stats")
    assert stats["counters"]["gateway_http_requests_total"] == gw.metric("gateway_http_requests_total")
    assert stats["reasons"]["bad_request"] == 10
    assert len(gw.access_log(75)) == 75


# --- the access log ----------------------------------------------------------------------------------------
def fields():
    """The fields as they are documented: worker/obs/fields.def."""
    return re.findall(r"(?m)^FIELD\((\w+), (\w+),", (TOP / "worker/obs/fields.def").read_text())


def test_access_line(gateway, backend):
    """One JSON object for each request, with every documented field that applies; ids as both sides see them.
    R-11.1, G-FR-009, G-SC-007"""
    b = backend()
    gw = gateway("""
        trusted_proxies = [ "127.0.0.1" ];
        services = ( { id = "s"; url = "@origin@"; } );
        routes = ( { id = "all"; path = "/*"; service = "s"; },
                   { id = "tea"; path = "/tea"; policies = ( { policy = "fixed_response"; status = 418; } ); } );""",
                 origin=b.url)
    with gw.client() as c:
        c.ask("GET", "/warm")
        answer = c.ask("POST", "/a/b?secret=1", {"X-Forwarded-For": "192.0.2.7", "User-Agent": "tester/1",
                                                 "Authorization": "Bearer hidden", "Referer": "http://r/?token=2"}, b"12345")
    gw.ask("GET", "/tea")
    raw(gw.address, b"NONSENSE\r\n\r\n")
    lines = gw.access_log(4)
    # what only streams, WebSockets, TLS and gRPC have is looked at by their tests
    names = {n for n, _ in fields()} - {"stream", "sent_status", "messages_in", "messages_out", "close_code", "closed_by",
                                        "tls", "tls_cipher", "sni", "tls_resumed", "client_cert", "grpc_status"}
    seen = set().union(*lines)
    assert seen == names, names ^ seen
    line = next(a for a in lines if a.get("path") == "/a/b")
    sent = dict((n.lower(), v) for n, v in answer.json()["headers"])
    assert line["request_id"] == sent["x-request-id"] and line["trace_id"] == sent["traceparent"].split("-")[1]
    assert (line["client"], line["peer"], line["method"], line["status"]) == ("192.0.2.7", "127.0.0.1", "POST", 200)
    assert (line["route"], line["service"], line["endpoint"]) == ("all", "s", f"127.0.0.1:{b.port}")
    assert (line["attempts"], line["body_in"], line["body_out"]) == (1, 5, len(answer.body))
    assert line["bytes_in"] > line["body_in"] and line["bytes_out"] > line["body_out"] and line["user_agent"] == "tester/1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["time"])
    phases = [line[f"{n}_ms"] for n in ("head", "policies", "connect", "send", "first_byte", "body")]
    assert all(ms >= 0 for ms in phases) and 0 < sum(phases) <= line["total_ms"] + 0.01 < 10000
    for secret in ("secret", "hidden", "token"):
        assert secret not in json.dumps(lines)
    for name, form in fields():
        for a in lines:
            if name in a:
                kind = {"NUMBER": int, "BOOL": bool, "MS": (int, float)}.get(form, str)
                assert isinstance(a[name], kind), (name, a[name])
    refused = next(a for a in lines if a["status"] == 400)
    assert refused["reason"] == "bad_request"
    assert not [a for a in lines if a.get("path") == "/health"], "/health is not logged unless asked for"


def test_health_is_logged_where_asked_for(gateway, backend):
    """access_log.health"""
    gw = gateway(SITE + 'access_log = { path = "@dir@/access.log"; health = true; };', one="http://127.0.0.1:1",
                 two="http://127.0.0.1:2")
    gw.ask("GET", "/health")
    assert gw.access_log(1, lambda a: a["path"] == "/health")


def test_hostile_bytes_in_the_log(site):
    """Whatever a request carries, the log stays lines of JSON in UTF-8, one for each request. R-11.1"""
    gw, _, _ = site
    sent = 0
    for octet in [*range(0x21, 0x7f), *range(0x80, 0x100)]:
        o = bytes([octet])
        raw(gw.address, b"GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: a" + o * 3 + b"z\r\nConnection: close\r\n\r\n")
        sent += 1
    for agent in (b"\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x8d", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xe2\x82",
                  b'","status":200,"x":"', b"\\u0000\\", b"a" * 5000, b"\xe2\x82\xac" * 1000, b"\t\tx"):
        raw(gw.address, b"GET /y HTTP/1.1\r\nHost: a\r\nUser-Agent: " + agent + b"\r\nConnection: close\r\n\r\n")
        sent += 1
    for target in (b"/%22%0a%00", b"/" + b"%0A" * 500, b"/\x80\xff", b'/"\\', b"/%F0%9F%90%8D", b"/" + b"p" * 4000):
        raw(gw.address, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        sent += 1
    for method in (b"M!#$%&'*+-.^_`|~", b"X" * 1000):
        raw(gw.address, method + b" / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        sent += 1
    gw.access_log(sent)
    text = (gw.dir / "access.log").read_bytes().decode("utf-8", errors="strict")
    lines = text.split("\n")
    assert lines.pop() == "" and len(lines) == sent
    for line in lines:
        assert not re.search(r"[\x00-\x1f\x7f]", line), line
        a = json.loads(line, object_pairs_hook=lambda pairs: (len(pairs) == len(dict(pairs)) or pytest.fail(line))
                       and dict(pairs))
        assert set(a) <= {n for n, _ in fields()}


@pytest.mark.xdist_group("alone")
def test_drops_are_counted(gateway, backend):
    """The logger stands still: no request waits for it; what the ring cannot hold is dropped and counted, and not one
    line more. R-11.1"""
    b = backend()
    gw = gateway(SITE + 'access_log = { path = "@dir@/access.log"; ring = "64k"; };', one=b.url,
                 two=b.url.replace("127.0.0.1", "127.0.0.2"))
    logger = gw.child("gw-logger")
    os.kill(logger, signal.SIGSTOP)
    longest = 0
    total = 1200
    with gw.client() as c:
        for i in range(total):
            began = time.monotonic()
            assert c.ask("GET", "/tea", {"User-Agent": "u" * 900}).status == 418
            longest = max(longest, time.monotonic() - began)
    dropped = gw.metric("gateway_access_log_dropped_total")
    assert 0 < dropped < total
    assert longest < 1 * SLOW
    assert gw.metric("gateway_access_ring_bytes") > 0
    os.kill(logger, signal.SIGCONT)
    gw.ask("GET", "/last")
    gw.access_log(1, lambda a: a["path"] == "/last")
    assert len(gw.access_log()) + gw.metric("gateway_access_log_dropped_total") == total + 1
    assert gw.child("gw-logger") == logger


def test_log_to_a_full_disk(gateway, backend):
    """/dev/full as the access log: requests are served, the loss is told."""
    b = backend()
    gw = Gateway(SITE + 'access_log = { path = "@dir@/full"; };', one=b.url, two=b.url.replace("127.0.0.1", "127.0.0.2"))
    os.symlink("/dev/full", gw.dir / "full.link")
    gw.write_conf(SITE + 'access_log = { path = "/dev/full"; };')
    with gw:
        for _ in range(20):
            assert gw.ask("GET", "/tea").status == 418
        gw.wait_log("access log /dev/full: .* lost")
