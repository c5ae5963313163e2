# SPDX-License-Identifier: Apache-2.0
"""What a person reads when something is wrong, typed wrongly, or quite in order: said once, where it is, and true.
S-AD-1, F-INST-02, F-INST-03"""
import json
import re
import subprocess
from pathlib import Path

import pytest

from console import Console, Fleet
from gateway import until
from redis_server import RedisServer

SITE = """
    services = ( { id = "s"; url = "@origin@"; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
"""


@pytest.mark.parametrize("words,said", [
    (("override",), r"no such command: override\nusage: gatewayctl override list\n +gatewayctl override drop NAME\n"),
    (("rollout",), r"usage: gatewayctl rollout status \[--wait DURATION\]\n"),
    (("nothing",), r"no such command: nothing\nSee gatewayctl --help"),
    (("rollout", "status", "--wait", "5"), r"--wait: a duration such as 30s, not \"5\""),
    (("set", "route", "r", "priority"), r"\"priority\": KEY=VALUE is needed"),
    (("get", "rout"), r"\"rout\" is no kind; allowed: listeners, services, routes"),
])
def test_typed_wrongly(gateway, backend, words, said):
    """Exit 2, and what would have been right."""
    gw = gateway(SITE, origin=backend().url)
    done = gw.ctl(*words, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(said, done.stderr), done.stderr


def test_said_once(gateway, backend):
    """One error is one line that begins with the program or the place; two are two, and a summary."""
    gw = gateway(SITE, origin=backend().url)
    for words, said in ((("set", "route", "all", "priority=1"), 'gatewayctl: routes[all]: belongs to source "file"'),
                        (("endpoints", "set", "s", "foo"), 'gatewayctl: endpoints s: services[s].endpoints[0].url:'),
                        (("endpoints", "down", "s", "1.2.3.4:5"), "gatewayctl: verdict s/1.2.3.4:5: the service has no"),
                        (("delete", "route", "nope"), "gatewayctl: routes[nope]: is not there")):
        done = gw.ctl(*words, check=False)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1 and done.stderr.startswith(said), done.stderr
    assert gw.ctl("apply", "-f", "-", check=False).returncode in (1, 2)
    bad = gw.dir / "bad.json"
    bad.write_text(json.dumps({"routes": [{"id": "n", "path": "nowhere", "service": "nobody"}]}))
    lines = gw.ctl("apply", "-f", bad, check=False).stderr.splitlines()
    assert len(lines) == len(set(lines)) and sum("path" in line for line in lines) == 1, lines


def test_log_of_a_quiet_start(gateway, backend):
    """A start where nothing is wrong warns of nothing, and no process is told of as if it were another's successor."""
    gw = gateway(SITE, origin=backend().url)
    gw.ctl("status")
    log = gw.error_log()
    assert not re.search(r" (warn|error) ", log), log
    assert "another" not in log and "replaced" not in log, log


def test_status_through_an_outage(backend):
    """Nothing published, published, partly wrong, away: status, rollout and log each say which it is. F-INST-03"""
    with RedisServer() as server, Fleet(SITE, 1, workers=1, origin=backend().url,
                                        redis=f'addresses = "127.0.0.1:{server.port}"; reconcile = "1s";') as fleet:
        gw = fleet[0]

        def says(words):
            until(lambda: words in gw.ctl_json("status")["console"]["serving"], 15, words)

        says("nothing is published")
        done = gw.ctl("rollout", "status", check=False)
        assert done.returncode == 1 and "nothing is published" in done.stdout
        gw.wait_log("warn redis.*Redis has no console version: what is in force stays")
        console = Console(server.client())
        console.put("route", "a", {"path": "/a", "service": "s"})
        says("the console's configuration")
        assert gw.ctl("rollout", "status", "--wait", "10s").returncode == 0
        console.put("route", "b", {"path": "/b", "service": "nobody"})
        says("without what is wrong in it")
        gw.wait_log(r"warn redis.*1 refused, first route/b: .*nobody")
        server.kill()
        says("the last good configuration: the console is away")
        gw.wait_log("warn redis.*serving the last good configuration")
        assert not re.search(r"(?m)(console|redis): *$", gw.error_log()), "words without a meaning"
        server.start()
        says("nothing is published")  # it kept nothing
        assert gw.ask("GET", "/a").status == 200


def test_curl_of_the_guide(gateway, backend):
    """The calls that contrib/doc/changes shows for curl do what they say. S-AD-1"""
    gw = gateway(SITE, origin=backend().url)
    gw.api("PUT", "/api/gateway/v1/routes/orders", b'{"path": "/orders", "service": "s"}',
           (("Content-Type", "application/json"),))
    guide = (Path(__file__).resolve().parents[2] / "contrib/doc/changes").read_text()
    lines = [line.strip() for line in re.sub(r" *\\\n *", " ", guide).splitlines()]
    calls = [line.split("    ")[0] for line in lines if line.startswith("curl ")]
    assert len(calls) == 2
    for call in calls:
        done = subprocess.run(call.replace("/run/gateway/admin.sock", gw.socket), shell=True, capture_output=True,
                              text=True, check=True)
        assert json.loads(done.stdout).get("status", 200) < 300, done.stdout
    assert gw.ctl_json("get", "route", "orders")["priority"] == 10


def test_redis_of_the_guide(gateway, backend):
    """The redis group that contrib/doc/changes shows is one. F-CFG-01"""
    gw = gateway(SITE, origin=backend().url)
    guide = (Path(__file__).resolve().parents[2] / "contrib/doc/changes").read_text()
    group = re.search(r"(?m)^ +(redis = \{.*?\};)", guide)[1]
    path = gw.dir / "guide.conf"
    path.write_text(f'instance = "a";\n{group}\n')
    assert "configuration is ok" in gw.ctl("config", "check", path).stderr + gw.ctl("config", "check", path).stdout
