# SPDX-License-Identifier: Apache-2.0
"""Configuration: every kind of error with its place, -t -T -V, files and environment, names that do not resolve,
and the sample as it is shipped.
"""
import os
import re
import subprocess

import pytest

from gateway import BUILD, SLOW, TOP, Gateway, until
from ports import free_port
from wire import WireError, ask

GATEWAY = str(BUILD / "gateway")
LISTENER = 'listeners = ( { id = "main"; address = "127.0.0.1:8080"; } );\n'
SERVICE = 'services = ( { id = "orders"; url = "http://127.0.0.1:9001"; } );\n'
ROUTE = 'routes = ( { id = "all"; path = "/*"; service = "orders"; } );\n'
GOOD = LISTENER + SERVICE + ROUTE


def run(*args, env=None, timeout=30):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("GATEWAY_", "SERVICE"))}
    return subprocess.run([GATEWAY, *map(str, args)], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=timeout * SLOW, env={**clean, **(env or {})})


@pytest.fixture
def check(tmp_path):
    """check(text, **files) writes gateway.conf (and conf_d__NAME= beside it) and returns (exit, lines of -t)."""
    def go(text, option="-t", env=None, **files):
        conf = tmp_path / "gateway.conf"
        conf.write_text(text)
        for name, content in files.items():
            path = tmp_path / name.replace("conf_d__", "conf.d/")
            path = path.with_name(path.name + ".conf")
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        done = run(option, "-c", conf, env=env)
        assert not re.search("Sanitizer|runtime error", done.stderr), done.stderr
        return done.returncode, [line.replace(f"{tmp_path}/", "") for line in (done.stdout + done.stderr).splitlines()]
    return go


# What is written (line 1), and what the one line about it must say, in order.
ERRORS = {
    "syntax": ('workers = ;', ["gateway.conf:1", "syntax error"]),
    "no semicolon, no value": ('workers', ["gateway.conf:", "syntax error"]),
    "unknown setting": ('worker = 2;', ["gateway.conf:1: worker: ", "unknown setting", 'did you mean "workers"']),
    "unknown setting far from any": ('zzzzzzzz = 2;', ["gateway.conf:1: zzzzzzzz: unknown setting", "allowed here:",
                                                       "workers"]),
    "unknown in a group": ('error_log = { levl = "info"; };', ["gateway.conf:1: error_log.levl: ",
                                                               'did you mean "level"']),
    "wrong type": ('workers = "many";', ["gateway.conf:1: workers: ", '"many"', "allowed: "]),
    "out of range": ('workers = 100000;', ["gateway.conf:1: workers: ", "100000", "out of range", "allowed: "]),
    "negative": ('workers = -1;', ["gateway.conf:1: workers: ", "-1", "allowed: "]),
    "too many digits": ('workers = 99999999999999999999;', ["gateway.conf:1: "]),
    "over 32 bits": ('limits = { connections = 3000000000; };', ["gateway.conf:1: ", "3000000000"]),
    "duration without unit": ('shutdown = { deadline = 5; };', ["gateway.conf:1: shutdown.deadline: 5", "unit"]),
    "duration of a wrong unit": ('shutdown = { deadline = "5 parsecs"; };', ["gateway.conf:1: shutdown.deadline: ",
                                                                             '"5 parsecs"']),
    "size of a wrong unit": ('access_log = { ring = "1z"; };', ["gateway.conf:1: access_log.ring: ", '"1z"']),
    "word not in the list": ('error_log = { level = "inof"; };', ["gateway.conf:1: error_log.level: ", '"inof"',
                                                                  'did you mean "info"']),
    "truth in words": ('access_log = { enabled = "perhaps"; };', ["gateway.conf:1: access_log.enabled: "]),
    "group for a word": ('instance = { a = 1; };', ["gateway.conf:1: instance: "]),
    "word for a group": ('error_log = "stderr";', ["gateway.conf:1: error_log: "]),
    "list for a group": ('error_log = ( "stderr" );', ["gateway.conf:1: error_log: "]),
    "bad CIDR": ('trusted_proxies = [ "10.0.0.0/33" ];', ["gateway.conf:1: trusted_proxies", '"10.0.0.0/33"']),
    "checks between settings": ('shutdown = { min_drain = "10s"; deadline = "1s"; };',
                                ["gateway.conf:1: shutdown.min_drain: ", "shutdown.deadline"]),
    "variable not set": ('instance = "${GW_TEST_NOT_SET}";', ["gateway.conf:1: instance: ", "GW_TEST_NOT_SET",
                                                              "not set"]),
    "brace missing": ('instance = "${HOME";', ["gateway.conf:1: instance: ", "brace"]),
    "bad address": ('listeners = ( { id = "x"; address = "nowhere:port"; } );',
                    ["gateway.conf:1: listeners[x].address: ", '"nowhere:port"']),
    "address missing": ('listeners = ( { id = "x"; } );', ["gateway.conf:1: listeners[x].address: is missing"]),
    "id missing": ('listeners = ( { address = "*:1"; } );', ["gateway.conf:1: listeners[0]", "id is missing"]),
    "bad id": ('listeners = ( { id = "a b"; address = "*:1"; } );', ["gateway.conf:1: listeners[0]", '"a b"']),
    "same id twice": ('listeners = ( { id = "x"; address = "*:1"; }, { id = "x"; address = "*:2"; } );',
                      ["gateway.conf:1: listeners[x]", "taken already"]),
    "same address twice": ('listeners = ( { id = "x"; address = "*:1"; }, { id = "y"; address = "*:1"; } );',
                           ["gateway.conf:1: listeners[y].address: ", '"x"']),
    "list of numbers": ('listeners = ( 1 );', ["gateway.conf:1: listeners[0]: "]),
    "bad URL": ('services = ( { id = "s"; url = "gopher://x"; } );', ["gateway.conf:1: services[s].url: ",
                                                                      '"gopher://x"', "allowed: http://"]),
    "URL with a bad port": ('services = ( { id = "s"; url = "http://x:99999"; } );', ["gateway.conf:1: services[s].url"]),
    "neither url nor endpoints": ('services = ( { id = "s"; } );', ["gateway.conf:1: services[s]: ", "neither url"]),
    "unknown balancer": ('services = ( { id = "s"; url = "http://127.0.0.1"; balancer = "round_robbin"; } );',
                         ["gateway.conf:1: services[s].balancer: ", 'did you mean "round_robin"']),
    "one address twice": ('services = ( { id = "s"; endpoints = ( { url = "http://127.0.0.1:1"; }, '
                          '{ url = "http://127.0.0.1:1"; } ); } );', ["gateway.conf:1: services[s].endpoints", "same"]),
    "service of a route unknown": (SERVICE.strip() + ' routes = ( { id = "r"; path = "/"; service = "order"; } );',
                                   ["gateway.conf:1: routes[r].service: ", '"order"', 'did you mean "orders"']),
    "listener of a route unknown": (SERVICE.strip() + ' routes = ( { id = "r"; path = "/"; service = "orders"; '
                                    'listener = "mian"; } );', ["gateway.conf:1: routes[r].listener: ", '"mian"']),
    "path without slash": (SERVICE.strip() + ' routes = ( { id = "r"; path = "x"; service = "orders"; } );',
                           ["gateway.conf:1: routes[r].path: ", '"x"']),
    "path of the management": (SERVICE.strip() + ' routes = ( { id = "r"; path = "/api/gateway/x"; service = "orders"; '
                               '} );', ["gateway.conf:1: routes[r].path: ", "management"]),
    "bad regex": (SERVICE.strip() + ' routes = ( { id = "r"; path = "~^/(a"; service = "orders"; } );',
                  ["gateway.conf:1: routes[r].path: "]),
    "method in lower case": (SERVICE.strip() + ' routes = ( { id = "r"; path = "/"; method = "get"; service = "orders"; '
                             '} );', ["gateway.conf:1: routes[r].method: ", '"get"', "upper case"]),
    "nobody answers": ('routes = ( { id = "r"; path = "/"; } );', ["gateway.conf:1: routes[r]: ", "nobody answers"]),
    "unknown policy": (SERVICE.strip() + ' routes = ( { id = "r"; path = "/"; service = "orders"; policies = ( '
                       '{ policy = "rewirte"; } ); } );', ["gateway.conf:1: routes[r].policies[0].policy: ",
                                                           'did you mean "rewrite"']),
    "unknown setting of a policy": (SERVICE.strip() + ' routes = ( { id = "r"; path = "/"; service = "orders"; '
                                    'policies = ( { policy = "ip"; deny = [ "::/0" ]; alow = [ "::/0" ]; } ); } );',
                                    ["gateway.conf:1: routes[r].policies[0].alow: ", 'did you mean "allow"']),
    "bad CIDR in a policy": (SERVICE.strip() + ' routes = ( { id = "r"; path = "/"; service = "orders"; policies = ( '
                             '{ policy = "ip"; allow = [ "::/129" ]; } ); } );',
                             ["gateway.conf:1: routes[r].policies[0].allow", '"::/129"']),
    "file that is not there": ('@include "nothing.conf"', ["gateway.conf:1"]),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error(check, name):
    """One line: file, line, setting, what was found, what is allowed; exit 1. R-8.3"""
    text, said = ERRORS[name]
    code, lines = check(text + "\n" + (LISTENER if "listeners" not in text else ""))
    assert code == 1, lines
    line = next((line for line in lines if line.startswith(said[0])), None)
    assert line, lines
    rest = line
    for word in said:
        assert word in rest, line
        rest = rest[rest.index(word):]
    assert "not ok" in lines[-1]
    assert len([line for line in lines[:-1] if "warning" not in line]) == 1, "more than one line about one error"


def test_several_errors_at_once(check):
    """Every error of a load is told, in one go, each with its own place. R-8.3"""
    code, lines = check("""workers = "x";
error_log = { level = "loud"; };
listeners = ( { id = "main"; address = "127.0.0.1:0x"; } );
services = ( { id = "a"; url = "http://"; },
             { id = "a"; url = "http://127.0.0.1:1"; timeouts = { connect = "soon"; }; } );
routes = ( { id = "r"; path = "/"; service = "nobody"; },
           { id = "q"; path = "bare"; } );
nonsense = 1;
""", conf_d__more="also_nonsense = 2;\n")
    assert code == 1
    places = [re.match(r"(\S+?):(\d+): (\S+):", line).groups() for line in lines[:-1]]
    assert {("gateway.conf", "1", "workers"), ("gateway.conf", "2", "error_log.level"),
            ("gateway.conf", "3", "listeners[main].address"), ("gateway.conf", "4", "services[a].url"),
            ("gateway.conf", "5", "services[a].timeouts.connect"), ("gateway.conf", "6", "routes[r].service"),
            ("gateway.conf", "7", "routes[q].path"), ("gateway.conf", "8", "nonsense"),
            }.issubset(set(places)), lines
    assert any("taken already" in line for line in lines)


def test_conf_d(check):
    """Files of conf.d add to the lists, in order; a setting stands in one file only; others are not read. G-FR-013"""
    code, lines = check(LISTENER, "-T", **{
        "conf_d__10-services": SERVICE, "conf_d__20-routes": ROUTE, "conf_d__.hidden": "syntax error",
        "conf_d__30-more": 'services = ( { id = "second"; url = "http://127.0.0.1:9002"; } ); workers = 3;'})
    text = "\n".join(lines)
    assert code == 0, text
    assert re.search(r"(?m)^workers = 3;", text)
    assert text.index('"orders"') < text.index('"second"')
    code, lines = check("workers = 1;\n" + LISTENER, **{"conf_d__30-more": "\nworkers = 3;"})
    assert code == 1
    assert any("conf.d/30-more.conf:2: " in line and "gateway.conf:1" in line for line in lines), lines


def test_same_id_in_two_files(check):
    """An id that two files define is an error that names both places."""
    code, lines = check(GOOD, **{"conf_d__x": '\n\nservices = ( { id = "orders"; url = "http://127.0.0.1:9"; } );'})
    assert code == 1
    assert any("conf.d/x.conf:3: services[orders]" in line and "gateway.conf:2" in line for line in lines), lines


def test_environment(check):
    """${VAR}, ${VAR:-default}, defaults within defaults, $$, numbers from the environment. R-8.2, G-FR-011"""
    text = LISTENER + """
workers = "${N:-3}";
instance = "${NAME:-${OTHER:-plain}}";
http = { server_name = "${NAME:-gw}"; };
services = ( { id = "a"; url = "${URL}"; } );
"""
    code, lines = check(text, "-T", env={"URL": "http://127.0.0.1:77", "N": ""})
    out = "\n".join(lines)
    assert code == 0, out
    assert "workers = 3;" in out and 'instance = "plain"' in out and "127.0.0.1:77" in out
    code, lines = check(text, "-T", env={"URL": "http://127.0.0.1:77", "N": "2", "NAME": "edge-${N}"})
    assert code == 1 and any("edge-${N}" in line for line in lines), "content of a variable is not expanded again"
    code, lines = check(text, "-T", env={"URL": "http://127.0.0.1:77", "N": "2", "OTHER": "dev"})
    assert code == 0 and "workers = 2;" in "\n".join(lines) and 'instance = "dev"' in "\n".join(lines)
    code, lines = check(text, env={"N": "2"})
    assert code == 1 and any("URL" in line and "services[a].url" in line for line in lines)


def test_options(check, tmp_path):
    """-t 0 and 1, -V, -h, usage errors 64: exit codes and the stream each answers on."""
    code, lines = check(GOOD)
    assert code == 0 and "configuration is ok" in lines[-1] and "1 route" in lines[-1]
    done = run("-V")
    version = re.search(r"(?m)^Version:\s*(\S+)", (TOP / "gateway.spec").read_text())[1]
    assert done.returncode == 0 and done.stdout.startswith(f"gateway {version}\n")
    assert re.search(r"(?m)^LMDB \S*.*\d+\.\d+", done.stdout) and "OpenSSL" in done.stdout
    done = run("-h")
    assert done.returncode == 0 and "usage: gateway" in done.stdout and "-t" in done.stdout
    for wrong in (["-x"], ["--nope"], ["-c"], ["file"], ["--test=1"]):
        done = run(*wrong)
        assert done.returncode == 64 and "usage: gateway" in done.stderr and not done.stdout, wrong
    done = run("-t", "-c", tmp_path / "missing.conf")
    assert done.returncode == 1 and "missing.conf" in done.stdout + done.stderr
    done = run("-t", "-c", tmp_path)
    assert done.returncode == 1 and "not a regular file" in done.stdout + done.stderr


def test_show_is_a_configuration(check, tmp_path):
    """What -T prints loads again and prints the same; defaults are in it."""
    code, lines = check((TOP / "conf/gateway.conf").read_text(), "-T")
    assert code == 0
    text = "\n".join(lines) + "\n"
    assert 'balancer = "round_robin"' in text and "requests_per_connection" in text
    code, again = check(text, "-T")
    assert code == 0 and again == lines


def test_check_touches_nothing(check, tmp_path):
    """-t makes no directory, no file, and leaves nothing in /dev/shm."""
    before = set(os.listdir("/dev/shm"))
    code, _ = check(f'run_directory = "{tmp_path}/run"; state_directory = "{tmp_path}/state";\n' + GOOD)
    assert code == 0
    assert not (tmp_path / "run").exists() and not (tmp_path / "state").exists()
    left = {n for n in set(os.listdir("/dev/shm")) - before if not n.startswith("gw-")}
    assert left == set()


def test_hostile_files(check, tmp_path):
    """Bytes that are no configuration: an error with a place, never a crash. R-8.3"""
    for octets in (b"\0" * 100, b"\xff\xfe" * 50, b"{" * 5000, b"(" * 5000, b'a = "' + b"x" * 100000, b"\n" * 70000 + b"%",
                   b'@include "gateway.conf"\n', b"a = [1,2,\"x\"];", b"workers = 1;\nworkers = 2;", b"",
                   b"# only a comment"):
        (tmp_path / "gateway.conf").write_bytes(octets)
        done = run("-t", "-c", tmp_path / "gateway.conf")
        assert done.returncode in (0, 1), (octets[:40], done)
        assert not re.search("Sanitizer|killed|without a verdict", done.stdout + done.stderr), (octets[:40], done)
        if octets and not octets.startswith(b"#"):
            assert done.returncode == 1 and "gateway.conf" in done.stdout + done.stderr, (octets[:40], done)


def test_bad_start(tmp_path):
    """A start with a wrong configuration ends at once with the errors and exit 1; nothing is left."""
    gw = Gateway("workers = none;\n")
    try:
        done = subprocess.run([GATEWAY, "-c", str(gw.conf_file)], capture_output=True, text=True, check=False,
                              timeout=20 * SLOW, stdin=subprocess.DEVNULL)
        assert done.returncode == 1 and "gateway.conf:" in done.stderr
    finally:
        gw.close()


# --- names -------------------------------------------------------------------------------------------------
NAMES = """
    supervision = { resolve_timeout = "1s"; };
    services = ( { id = "lost"; url = "http://no-such-host.invalid:9000"; },
                 { id = "half"; endpoints = ( { url = "http://no-such-host.invalid:9001"; }, { url = "@origin@"; } ); },
                 { id = "name"; url = "http://localhost:@backend@"; } );
    routes = ( { id = "lost"; path = "/lost"; service = "lost"; },
               { id = "half"; path = "/half"; service = "half"; },
               { id = "name"; path = "/name"; service = "name"; } );
"""


def test_unresolvable_name(gateway, backend):
    """A name that does not resolve leaves that endpoint down, named in status, and the rest at work. E-2"""
    b = backend()
    gw = gateway(NAMES, origin=b.url, backend=b.port)
    answer = gw.ask("GET", "/lost")
    assert answer.status == 503 and answer.get("Content-Type") == "application/problem+json"
    for _ in range(4):
        assert gw.ask("GET", "/half").status == 200
    assert gw.ask("GET", "/name").status == 200, "localhost"
    status = gw.ctl_json("status")
    assert {(e["service"], "no-such-host.invalid" in e["endpoint"]) for e in status["unresolved"]} == \
        {("lost", True), ("half", True)}
    assert all(e["state"] == "unresolved" and e["error"] for e in status["unresolved"])
    gw.wait_log(r"no-such-host\.invalid")
    assert "no-such-host.invalid" in gw.reload().stdout, "the reload says so, and succeeds"
    assert gw.ask("GET", "/health").status == 200


# --- the sample --------------------------------------------------------------------------------------------
def test_sample(backend, tmp_path):
    """conf/gateway.conf as it is: two services from the environment, prefixes, health, management.
    G-FR-001, G-FR-002, G-FR-005, G-FR-006, G-FR-011, G-FR-012, G-FR-013, G-SC-005, F-SEC-03"""
    one, two = backend(name="one"), backend(name="two")
    gw = Gateway(None, env={})
    metrics = free_port()
    gw.env = {"GATEWAY_LISTEN": f"127.0.0.1:{gw.port}", "GATEWAY_METRICS": f"127.0.0.1:{metrics}",
              "GATEWAY_RUN": f"{gw.dir}/run", "GATEWAY_STATE": f"{gw.dir}/state",
              "GATEWAY_ACCESS_LOG": f"{gw.dir}/access.log", "GATEWAY_ERROR_LOG": f"{gw.dir}/error.log",
              "SERVICE1_URL": one.url, "SERVICE2_URL": two.url}
    gw.conf_file.write_text((TOP / "conf/gateway.conf").read_text())
    with gw:
        answer = gw.ask("GET", "/api/service1/orders?page=2").json()
        assert (answer["backend"], answer["target"]) == ("one", "/api/orders?page=2")
        answer = gw.ask("POST", "/api/service2/notifications/send", {}, b'{"n":1}').json()
        assert (answer["backend"], answer["target"], answer["body"]) == ("two", "/api/notifications/send", '{"n":1}')
        health = gw.ask("GET", "/health")
        assert health.status == 200 and health.json()["status"]
        assert gw.ask("GET", "/api/gateway/status").json()["status"] == "ready"
        assert [s["id"] for s in gw.ask("GET", "/api/gateway/services").json()["services"]] == ["service1", "service2"]
        assert gw.ask("GET", "/api/gateway/v1/config").status == 401
        assert gw.ask("POST", "/api/gateway/v1/reload", {}, b"").status == 401
        assert gw.ask("GET", "/api/gateway/anything").status == 401
        assert gw.ask("GET", "/unknown").status == 404
        assert ask(("127.0.0.1", metrics), "GET", "/metrics").status == 200
        assert ask(("127.0.0.1", metrics), "GET", "/api/gateway/v1/status").status == 404
        one.stop()
        assert gw.ask("GET", "/api/service1/orders").status in (502, 503)
        assert gw.ask("GET", "/health").status == 200, "whatever the services do"
        lines = gw.access_log(2, lambda a: a.get("route") in ("service1", "service2"))
        assert {(a["route"], a["service"]) for a in lines} == {("service1", "service1"), ("service2", "service2")}


def test_new_service_by_configuration_alone(gateway, backend):
    """A service and its route appear by a file in conf.d and a reload. G-SC-005, R-2.3"""
    first, second = backend(name="first"), backend(name="second")
    gw = gateway("""
        services = ( { id = "a"; url = "@origin@"; } );
        routes = ( { id = "a"; path = "/a/*"; service = "a"; } );""", origin=first.url)
    assert gw.ask("GET", "/b/1").status == 404
    (gw.dir / "conf.d").mkdir()
    (gw.dir / "conf.d" / "b.conf").write_text(f'services = ( {{ id = "b"; url = "{second.url}"; }} );\n'
                                              'routes = ( { id = "b"; path = "/b/*"; service = "b"; } );\n')
    gw.reload()
    assert gw.ask("GET", "/b/1").json()["backend"] == "second"
    assert gw.ask("GET", "/a/1").json()["backend"] == "first"
    os.unlink(gw.dir / "conf.d" / "b.conf")
    gw.reload()
    until(lambda: gw.ask("GET", "/b/1").status == 404, 5, "the route to be gone")


@pytest.mark.parametrize("host,upstream", [("client", "asked.example"), ("endpoint", None), ("fixed", "inner.example")])
def test_host_policy(gateway, backend, host, upstream):
    """Which Host the service sees. E-3"""
    b = backend()
    fixed = 'host_value = "inner.example";' if host == "fixed" else ""
    gw = gateway(f"""
        services = ( {{ id = "s"; url = "@origin@"; host = "{host}"; {fixed} }} );
        routes = ( {{ id = "all"; path = "/*"; service = "s"; }} );""", origin=b.url)
    seen = dict(gw.ask("GET", "/", host="asked.example").json()["headers"])
    assert {k.lower(): v for k, v in seen.items()}["host"] == (upstream or f"127.0.0.1:{b.port}")


def test_start_waits_for_nothing_outside(gateway):
    """Names that do not resolve and services that are down do not keep the gateway from serving."""
    gw = gateway(NAMES, origin="http://127.0.0.1:1", backend=1, ready=False)

    def healthy():
        try:
            return gw.ask("GET", "/health", timeout=2).status == 200
        except (OSError, WireError):
            return False
    until(healthy, 8, "/health")
