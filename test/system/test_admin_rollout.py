# SPDX-License-Identifier: Apache-2.0
"""The admin API and gatewayctl with a console: changes published to all instances, rollout with proof, the word to
load files again, and what they say while Redis is away. R-2.3, R-2.4, F-K8S-02, S-AD-2"""
import json
import re

import pytest

pytest.importorskip("redis")

from console import Console, Fleet  # noqa: E402
from gateway import until  # noqa: E402
from redis_server import RedisServer  # noqa: E402

V1 = "/api/gateway/v1"
CONFIG = """
    services = ( { id = "s"; url = "@one@"; health = { passive = false; }; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
"""


def fleet(server, backend):
    return Fleet(CONFIG, 2, redis=f'addresses = "127.0.0.1:{server.port}"; publish = true; '
                 'retry_min = "20ms"; retry_max = "300ms"; acknowledge = "1s"; acknowledge_expiry = "4s";',
                 workers=1, one=backend(name="one").url)


def live(gw):
    return gw.api("GET", V1 + "/status").json()["console"]["state"] == "live"


@pytest.fixture
def pair(backend):
    """(server, two gateways that publish)"""
    with RedisServer() as server, fleet(server, backend) as gateways:
        for gw in gateways:
            until(lambda gw=gw: live(gw), 20, "the console")
        until(lambda: gateways[0].api("GET", V1 + "/rollout").json()["of"] == 2, 20, "both to be known")
        yield server, gateways


def put(gw, path, value, method="PUT", status=202):
    answer = gw.api(method, V1 + path, json.dumps(value).encode() if value is not None else None)
    assert answer.status == status, (answer, answer.body)
    return answer.json()


def test_published_to_all(pair):
    """A change through one instance is every instance's, as the console's object; the answer is its number. So are
    patches, deletions, verdicts and bulk. R-2.3"""
    _, gateways = pair
    one, two = gateways

    def at(gw, path):
        answer = gw.api("GET", V1 + path)
        return answer.json() if answer.status == 200 else None
    assert put(one, "/routes/p", {"path": "/p", "service": "s"})["number"] == 1
    until(lambda: at(two, "/routes/p"), 10, "the route at the other")
    until(lambda: at(one, "/routes/p"), 10, "the route at the one asked")
    assert at(one, "/routes/p")["_meta"]["source"] == "console"
    put(two, "/routes/p", {"priority": 7}, "PATCH")
    until(lambda: at(one, "/routes/p").get("priority") == 7, 10, "the patch")
    assert at(one, "/routes/p")["path"] == ["/p"], "a patch is published as a whole"
    put(one, "/changes", {"changes": [{"op": "put", "kind": "service", "id": "n", "value": {"url": "http://127.0.0.1:1"}},
                                      {"op": "put", "kind": "route", "id": "q", "value": {"path": "/q", "service": "n"}}]},
        "POST")
    until(lambda: at(two, "/routes/q"), 10, "both")
    put(one, "/routes/p", None, "DELETE")
    until(lambda: at(two, "/routes/p") is None, 10, "the end of it")
    put(one, "/endpoints/s/*", {"verdict": "down"}, "POST")
    until(lambda: two.ask("GET", "/").status == 503, 10, "the verdict at the other")
    until(lambda: one.ctl_json("status")["console"]["number"] >= 5, 10, "all of it at the one asked")
    ours = [gw.api("GET", V1 + "/export?source=console").body for gw in gateways]
    assert ours[0] == ours[1] and list(map(len, json.loads(ours[0]).values())) == [0, 1, 1, 0]
    console = one.ctl_json("status")["console"]
    assert console["state"] == "live" and re.fullmatch("[0-9a-f]{64}", console["hash"])
    assert one.metric("gateway_console_connected") == 1 and one.metric("gateway_console_changes_total") >= 5


def test_checked_before_it_is_published(pair):
    """What the checks refuse, what belongs to files, and dry runs never reach Redis."""
    server, gateways = pair
    one = gateways[0]
    wrong = put(one, "/routes/p", {"path": "p", "service": "nobody"}, status=422)
    assert any(e["where"] == "routes[p].path" for e in wrong["errors"])
    assert put(one, "/routes/all", {"path": "/", "service": "s"}, status=409)
    put(one, "/routes/p?dry_run=1", {"path": "/p", "service": "s"}, status=200)
    put(one, "/changes", {"partial": True, "changes": [{"op": "delete", "kind": "route", "id": "x"}]}, "POST", 422)
    put(one, "/services/s/endpoints", {"endpoints": [{"url": "http://127.0.0.1:1"}]}, "POST", 422)
    assert server.client().keys("*objects*") == []


def test_while_redis_is_away(pair):
    """Status says that the last good configuration is served; publishing is refused with words; then all is well."""
    server, gateways = pair
    one = gateways[0]
    put(one, "/routes/p", {"path": "/p", "service": "s"})
    until(lambda: one.api("GET", V1 + "/routes/p").status == 200, 10, "the route")
    server.kill()
    until(lambda: not live(one), 20, "the loss to be seen")
    assert "last good configuration" in one.ctl("status").stdout
    assert one.ask("GET", "/p").status == 200 and one.metric("gateway_console_connected") == 0
    assert "Redis is away" in put(one, "/routes/q", {"path": "/q", "service": "s"}, status=503)["detail"]
    assert one.ctl("rollout", "status", check=False).returncode == 1
    server.start()
    until(lambda: live(one), 20, "Redis again")


def test_rollout_status(pair):
    """N of N when every instance acknowledged the newest version; else who did not, and why; exit 0 and 1."""
    server, gateways = pair
    done = gateways[0].ctl("rollout", "status", check=False)
    assert done.returncode == 1 and "nothing is published" in done.stdout and "gw1" in done.stdout, \
        "who is waited for is known before the first version"
    put(gateways[0], "/routes/p", {"path": "/p", "service": "s"})
    done = gateways[1].ctl("rollout", "status", "--wait", "20s")
    assert re.search(r"version 1 of epoch \S+: 2 of 2 instances", done.stdout), done.stdout
    assert "gw0" in done.stdout and "gw1" in done.stdout
    console = Console(server.client())
    console.put("route", "dangling", {"path": "/d", "service": "nobody"})
    def both_refused():
        j = json.loads(gateways[0].ctl("rollout", "status", "--json", check=False).stdout)
        return all(i["refused"] == 1 and i["number"] == 2 for i in j["instances"])
    until(both_refused, 20, "both to say what they refuse")
    done = gateways[0].ctl("rollout", "status", check=False)
    assert done.returncode == 1 and "0 of 2 instances" in done.stdout
    assert re.search(r"gw1 refused route dangling: .*nobody", done.stdout), done.stdout
    assert gateways[0].ctl_json("status")["console"]["refused"] == 1
    console.delete("route", "dangling")
    assert gateways[0].ctl("rollout", "status", "--wait", "20s").returncode == 0
    n = gateways[1].ctl_json("status")["generation"]
    console.put("route", "p", {"path": "/p2", "service": "s"})
    gateways[0].ctl("rollout", "status", "--wait", "20s")
    gateways[1].ctl("rollback", n)
    def told():
        return [i["overrides"] for i in gateways[0].ctl_json("rollout", "status")["instances"] if i["instance"] == "gw1"]
    until(lambda: told() == [1], 20, "the instance that stands before the console's object to be named")
    assert gateways[1].metric("gateway_overrides") == 1 and gateways[0].metric("gateway_overrides") == 0
    gateways[1].ctl("override", "drop", f"rollback-{n}")
    until(lambda: told() == [0], 20, "the end of it")
    gateways[1].stop()
    console.put("route", "later", {"path": "/later", "service": "s"})
    done = gateways[0].ctl("rollout", "status", "--wait", "1s", check=False)
    assert done.returncode == 1 and "1 of 2 instances" in done.stdout
    gateways[1].start()


def test_reload_all(pair):
    """Every instance loads its files again."""
    _, gateways = pair
    for i, gw in enumerate(gateways):
        gw.write_conf(gw.conf_file.read_text().replace('path = "/*"', 'path = [ "/*", "/again/%d" ]' % i))
    assert "every instance was rung" in gateways[0].ctl("reload", "--all").stdout
    for i, gw in enumerate(gateways):
        until(lambda gw=gw, i=i: f"/again/{i}" in gw.api("GET", V1 + "/routes/all").json()["path"], 15, "the reload")
