# SPDX-License-Identifier: Apache-2.0
"""The admin API: objects, changes, history, endpoints; its description is true of every call. S-AD-1, S-AD-2, R-2.3,
R-8.1, F-K8S-02"""
import json
import os
import re
import signal
import socket
import threading
from urllib.parse import quote

import pytest

from gateway import SANITIZED, TOP, until
from ports import free_port
from wire import Client, ask

V1 = "/api/gateway/v1"
SITE = """
    workers = 2;
    services = ( { id = "s"; endpoints = ( { url = "@one@"; }, { url = "@two@"; } ); health = { passive = false; }; },
                 { id = "other"; url = "@one@"; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; },
               { id = "user"; path = "/users/{id}"; service = "other"; } );
"""


@pytest.fixture
def site(gateway, backend):
    """(gateway, its two backends)"""
    one, two = backend(name="one"), backend(name="two")
    return gateway(SITE, one=one.url, two=two.url), one, two


class Api:
    """Calls below /api/gateway/v1 with JSON both ways; expects a status."""

    def __init__(self, gw):
        self.gw = gw

    def __call__(self, method, path, body=None, expect=200, **headers):
        names = {k.replace("_", "-"): v for k, v in headers.items()}
        text = None if body is None else json.dumps(body).encode()
        answer = self.gw.api(method, V1 + path, text if text is not None or method in ("GET", "DELETE") else b"", names)
        assert answer.status == expect, (method, path, body, answer, answer.body)
        answer.value = json.loads(answer.body) if answer.body else None
        if answer.status >= 400:
            assert answer.get("Content-Type") == "application/problem+json"
            assert answer.value["status"] == answer.status and answer.value["title"] and answer.value["detail"]
        return answer


@pytest.fixture
def api(site):
    return Api(site[0])


ROUTE = {"path": "/new/*", "service": "s"}


# --- objects -----------------------------------------------------------------------------------------------
def test_an_object_from_birth_to_death(api):
    """Created, read, replaced, patched, deleted; versions count generations and guard every step. S-AD-1"""
    made = api("POST", "/routes", {"id": "new", **ROUTE}, 201)
    version = made.get("ETag")
    assert made.get("Location") == V1 + "/routes/new"
    assert made.value["changes"] == [{"id": "new", "kind": "route", "result": "created", "version": int(version.strip('"'))}]
    assert api.gw.ask("GET", "/new/x").status == 200
    api("POST", "/routes", {"id": "new", **ROUTE}, 409)
    api("PUT", "/routes/new", ROUTE, 412, If_None_Match="*")
    got = api("GET", "/routes/new")
    assert got.get("ETag") == version and got.value["path"] == ["/new/*"] and got.value["id"] == "new"
    assert got.value["_meta"] == {"source": "admin", "version": int(version.strip('"'))}
    api("GET", "/routes/new", expect=304, If_None_Match=version)
    api("PUT", "/routes/new", {**got.value, "priority": 3}, 412, If_Match='"1"')
    replaced = api("PUT", "/routes/new", {**got.value, "priority": 3}, If_Match=version)
    assert replaced.get("ETag") != version
    unchanged = api("PUT", "/routes/new", {**got.value, "priority": 3})
    assert unchanged.value["changes"][0]["result"] == "unchanged" and unchanged.get("ETag") == replaced.get("ETag")
    api("PATCH", "/routes/new", {"priority": None, "timeouts": {"total": "2s"}}, Content_Type="application/merge-patch+json")
    now = api("GET", "/routes/new").value
    assert "priority" not in now and now["timeouts"] == {"total": "2s"}
    assert api("GET", "/routes/new?all=1").value["priority"] == 0
    text = api.gw.api("GET", V1 + "/routes/new?format=libconfig").body.decode()
    assert text.lstrip().startswith("routes = (") and 'id = "new";' in text
    api("DELETE", "/routes/new", expect=412, If_Match='"1"')
    api("DELETE", "/routes/new")
    for method in ("GET", "DELETE", "PATCH"):
        api(method, "/routes/new", {} if method == "PATCH" else None, 404)


def test_dry_run_changes_nothing(api):
    """Everything is checked and reported as it would be; generation, objects and history stay."""
    before = api("GET", "/status").value["generation"]
    export = api("GET", "/export").body
    said = api("PUT", "/routes/new?dry_run=1", ROUTE).value
    assert said["dry_run"] is True and said["changes"][0]["result"] == "created"
    api("DELETE", "/routes/none?dry_run=1", expect=404)
    api("PUT", "/routes/new?dry_run=1", {**ROUTE, "service": "nobody"}, 422)
    api("PATCH", "/services/s?dry_run=1", {"balancer": "least_connections"}, 409)
    api("POST", "/changes", {"dry_run": True, "changes": [{"op": "put", "kind": "route", "id": "n", "value": ROUTE}]})
    assert api("GET", "/export").body == export
    assert api("GET", "/status").value["generation"] == before
    assert len(api("GET", "/generations").value["generations"]) == 1


def test_errors_name_the_field(api):
    """All that is wrong, each with its place and what is allowed; nothing of it is applied. R-8.3"""
    wrong = api("PUT", "/routes/new", {"path": "new", "service": "nobody", "priority": "high", "bogus": 1}, 422).value
    places = {e["where"] for e in wrong["errors"]}
    assert {"routes[new].path", "routes[new].priority", "routes[new].bogus"} <= places
    assert all(e["message"] for e in wrong["errors"])
    for body in ([], "x", 7, None):
        answer = api.gw.api("PUT", V1 + "/routes/new", json.dumps(body).encode())
        assert answer.status == 400, body
    api("PUT", "/routes/new", {**ROUTE, "id": "another"}, 422)
    deep = ROUTE
    for _ in range(100):
        deep = {"a": deep}
    for path, body in (("/routes/new", deep), ("/routes/" + "x" * 64, ROUTE), ("/routes/a%20b", ROUTE)):
        assert api.gw.api("PUT", V1 + path, json.dumps(body).encode()).status in (400, 422), path
    api("GET", "/routes/new", expect=404)
    assert api.gw.api("PUT", V1 + "/routes/new", b"{}", {"Content-Type": "text/plain"}).status == 415
    wrong = api("GET", "/routes?limit=0", expect=400)
    assert "limit" in wrong.value["detail"]
    api("GET", "/routes?limit=1001", expect=400)
    with Client(api.gw.socket) as c:
        c.send(b"PUT /api/gateway/v1/routes/new HTTP/1.1\r\nHost: a\r\nContent-Length: 1100000\r\n\r\n")
        assert c.response().status == 413


def test_small_text_makes_no_large_tree(api):
    """Octets that would take fifty times their size once parsed are refused before; the admin process stays small."""
    admin = api.gw.child("admin")
    answer = api.gw.api("POST", V1 + "/changes", b'{"changes":[' + b"[]," * 8_000_000 + b"[]]}")
    assert answer.status == 400 and "values" in answer.json()["detail"], answer
    peak = re.search(r"VmHWM:\s+(\d+) kB", open(f"/proc/{admin}/status").read())
    assert int(peak[1]) < 400_000, peak[0]
    assert api("GET", "/status").status == 200 and api.gw.child("admin") == admin


@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps what was freed")
def test_memory_of_a_large_document_is_given_back(api):
    """150,000 changes, all refused: when they are answered, neither process holds on to what they took."""
    wrong = {"path": "/w", "service": "nobody", "x" * 200: 1}
    api("POST", "/changes", {"partial": True, "changes": [{"op": "put", "kind": "route", "id": f"w{i}", "value": wrong}
                                                          for i in range(150_000)]})
    for kind in ("admin", "keeper"):
        now = re.search(r"VmRSS:\s+(\d+) kB", open(f"/proc/{api.gw.child(kind)}/status").read())
        assert int(now[1]) < 200_000, (kind, now[0])


def test_nobody_takes_all_the_places(gateway, backend):
    """Who may connect but is no administrator, here to /metrics, cannot keep the administrators out."""
    port = free_port()
    gw = gateway('admin = { metrics_listen = "127.0.0.1:@metrics@"; };\n' + SITE, one=backend().url, two=backend().url,
                 metrics=port)
    crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
    try:
        assert Api(gw)("GET", "/status").value["generation"] >= 1
    finally:
        for one in crowd:
            one.close()
    until(lambda: ask(("127.0.0.1", port), "GET", "/metrics").status == 200, 5, "a place for /metrics")


def test_whose_an_object_is(api):
    """Objects of the files are not the API's to change: 409 names the source; they can be in front of nothing. R-2.3"""
    for method, path, body in (("PUT", "/routes/all", ROUTE), ("PATCH", "/services/s", {"balancer": "least_connections"}),
                               ("DELETE", "/listeners/main", None)):
        refused = api(method, path, body, 409).value
        assert 'source "file"' in refused["detail"], refused
        assert refused["changes"][0]["source"] == "file"


def listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def test_a_listener_comes_and_goes(api):
    """It goes through the master, who binds the socket before anything is answered."""
    port = free_port()
    api("PUT", "/listeners/more", {"address": f"127.0.0.1:{port}"}, 201)
    assert ask(("127.0.0.1", port), "GET", "/").status == 200
    clash = api.gw.api("PUT", V1 + "/listeners/clash", json.dumps({"address": f"127.0.0.1:{port}"}).encode())
    assert clash.status in (409, 422) and clash.json()["errors"]
    api("DELETE", "/listeners/more")
    until(lambda: not listening(port))  # workers let go of their sockets behind the answer


def test_lists_go_by_pages(api):
    """By id, each object once, however small the pages; filters narrow them. S-AD-1"""
    routes = [{"op": "put", "kind": "route", "id": f"r{i:03}", "value": {"path": f"/r{i}", "service": "s" if i % 2 else "other"}}
              for i in range(250)]
    api("POST", "/changes", {"changes": routes})

    def pages(query):
        out, after = [], ""
        while True:
            page = api("GET", f"/routes?{query}&after={after}").value
            out += [r["id"] for r in page["routes"]]
            assert page["total"] == 252
            if page["next"] is None:
                return out
            after = page["next"]
    everything = sorted(["all", "user", *(r["id"] for r in routes)])
    assert pages("limit=7") == everything == pages("limit=1000") == pages("")
    assert pages("source=file") == ["all", "user"]
    assert pages("q=r01&limit=3") == [f"r01{i}" for i in range(10)]
    assert pages("service=s&limit=50") == sorted(["all", *(f"r{i:03}" for i in range(1, 250, 2))])
    assert len(api("GET", "/routes").value["routes"]) == 100
    services = {s["id"]: s["_status"] for s in api("GET", "/services").value["services"]}
    assert services["s"] == {"endpoints": 2, "usable": 2, "in_flight": 0, "status": "up"}
    assert len(json.loads(api.gw.ctl("get", "routes", "--json").stdout)["routes"]) == 252


# --- documents ---------------------------------------------------------------------------------------------
def test_bulk_is_one_generation(api):
    """All or nothing, in one generation; partial: what is right, with the rest refused one by one. S-AD-2"""
    put = [{"op": "put", "kind": "service", "id": "n", "value": {"url": "http://127.0.0.1:1"}},
           {"op": "put", "kind": "route", "id": "a", "value": {"path": "/a", "service": "n"}},
           {"op": "put", "kind": "route", "id": "b", "value": {"path": "/b", "service": "nobody"}}]
    before = api("GET", "/status").value["generation"]
    refused = api("POST", "/changes", {"changes": put}, 422).value
    assert any("routes[b]" in e["where"] for e in refused["errors"])
    assert api("GET", "/status").value["generation"] == before
    done = api("POST", "/changes", {"changes": put, "partial": True, "comment": "two of three"}).value
    assert (done["generation"], done["changed"], done["refused"]) == (before + 1, 2, 1)
    assert [c["result"] for c in done["changes"]] == ["created", "created", "refused"]
    record = api("GET", f"/generations/{before + 1}").value
    assert record["comment"] == "two of three" and record["author"].startswith("uid=") and record["source"] == "admin"
    assert {c["id"] for c in record["changes"]} == {"n", "a"}
    api("POST", "/changes", {"changes": [{"op": "delete", "kind": "service", "id": "n"}]}, 422)
    for member in ("whole", "rollback", "console", "author", "source", "allow_deletions", "drop_override"):
        assert member in api("POST", "/changes", {"changes": [], member: 1}, 400).value["detail"]


def test_a_large_document(api):
    """10,000 routes in one call of several megabytes; the same again changes nothing. S-AD-2"""
    changes = [{"op": "put", "kind": "route", "id": f"big-{i}", "value": {
        "path": f"/big/{i}", "service": "s", "host": [f"h{i}.example.com", f"host-{i}.example.org"], "priority": i % 7}}
        for i in range(10000)]
    assert len(json.dumps({"changes": changes})) > 1500000
    done = api("POST", "/changes", {"changes": changes}).value
    assert done["changed"] == 10000
    assert api.gw.ask("GET", "/big/9999", {"Host": "h9999.example.com"}).status == 200
    assert api("POST", "/changes", {"changes": changes}).value["changed"] == 0
    assert api("GET", "/export").body.count(b'"id":"big-') == 10000


def test_history_back_and_forth(api):
    """Generations, what each changed, what differs between two, and the way back. R-8.1"""
    api("PUT", "/routes/a", {"path": "/a", "service": "s"}, 201)
    first = api("GET", "/status").value["generation"]
    api("PATCH", "/routes/a", {"priority": 4})
    api("PUT", "/routes/b", {"path": "/b", "service": "s"}, 201)
    diff = api("GET", f"/diff?from={first}").value
    assert [(c["kind"], c["id"], c["before"] is None) for c in diff["changes"]] == [("route", "a", False), ("route", "b", True)]
    listed = api("GET", "/generations?limit=2").value["generations"]
    assert [g["generation"] for g in listed] == [first + 2, first + 1]
    assert api("GET", f"/generations?before={first + 1}").value["generations"][0]["generation"] == first
    would = api("POST", "/rollback", {"generation": first, "dry_run": True}).value
    assert would["changed"] == 2 and would["dry_run"]
    done = api("POST", "/rollback", {"generation": first}).value
    assert {c["id"]: c["result"] for c in done["changes"]} == {"a": "replaced", "b": "deleted"}
    assert "priority" not in api("GET", "/routes/a").value
    api("GET", "/generations/999999", expect=404)
    api("GET", "/diff", expect=400)
    api("POST", "/rollback", {"generation": 0}, 400)
    api("POST", "/rollback", {"generation": 999999}, 404)


def test_overrides(site, api):
    """A file's object rolled back stays as a named override, a reload does not end it, dropping it does. R-8.1"""
    gw, _, _ = site
    before = api("GET", "/status").value["generation"]
    gw.reload(SITE.replace('path = "/users/{id}"', 'path = "/people/{id}"'))
    api("POST", "/rollback", {"generation": before})
    held = api("GET", "/overrides").value["overrides"]
    assert [(o["kind"], o["id"]) for o in held] == [("route", "user")]
    assert api("GET", "/routes/user").value["_meta"]["override"] == held[0]["name"]
    gw.ctl("reload")
    assert api("GET", "/routes/user").value["path"] == ["/users/{id}"]
    api("DELETE", "/overrides/nothing", expect=404)
    api("DELETE", "/overrides/" + quote(held[0]["name"]))
    until(lambda: api("GET", "/routes/user").value["path"] == ["/people/{id}"], 10, "the files' own value")
    assert api("GET", "/overrides").value["overrides"] == []


def test_export_is_the_same_everywhere(gateway, backend):
    """Two instances that came to the same objects by different ways print the same octets. R-2.3"""
    b = backend()
    config = 'services = ( { id = "s"; url = "@one@"; } );'
    exports = []
    for order in (1, -1):
        gw = gateway(config, one=b.url)
        api = Api(gw)
        for i in list(range(5))[::order]:
            api("PUT", f"/routes/r{i}", {"service": "s", "path": [f"/r{i}"], "priority": 3 if order > 0 else "3"}, 201)
        exports.append((api("GET", "/export?kind=routes").body, api("GET", "/export?kind=services").body,
                        gw.api("GET", V1 + "/export?format=libconfig&kind=routes").body))
    assert exports[0] == exports[1]
    assert list(json.loads(exports[0][0])) == ["routes"]


def test_the_audit_line(site, api):
    """Each change stands in the log with author, ids and what came of it. S-AD-1"""
    gw, _, _ = site
    api("PUT", "/routes/logged", ROUTE, 201)
    api("PUT", "/routes/logged", {"path": 7}, 422)
    gw.wait_log(r"admin: put route logged by uid=\d+\S*: done, status 20\d, generation \d+")
    gw.wait_log(r"admin: put route logged by uid=\d+\S*: refused, status 422")


def test_the_keeper_dies_at_work(site, api):
    """Changes under way get an answer, and what was answered 2xx is there. Nothing else dies. R-2.3"""
    gw, _, _ = site
    done, odd, stop = [], [], threading.Event()

    def write(worker):
        i = 0
        while not stop.is_set():
            i += 1
            answer = gw.api("PUT", f"{V1}/routes/w{worker}-{i}", json.dumps({"path": f"/w{worker}/{i}", "service": "s"}).encode())
            if answer.status in (200, 201):
                done.append(f"w{worker}-{i}")
            elif answer.status != 503:
                odd.append((answer.status, answer.body))
    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    for _ in range(3):
        old = gw.child("gw-keeper")
        seen = len(done)
        os.kill(old, signal.SIGKILL)
        until(lambda: gw.children("gw-keeper") and old not in gw.children("gw-keeper"), 10, "another keeper")
        until(lambda: len(done) > seen + 5, 20, "changes after it")
    stop.set()
    for t in threads:
        t.join()
    assert not odd and done
    there = {r["id"] for r in json.loads(gw.ctl("get", "routes", "--json").stdout)["routes"]}
    assert set(done) <= there


# --- endpoints ---------------------------------------------------------------------------------------------
def test_endpoints_of_their_own_rhythm(site, api):
    """Set, added to, taken from, reset: no generation, no reload, in force at once. R-2.4"""
    gw, one, two = site
    before = api("GET", "/status").value["generation"]

    def served():
        return {gw.ask("GET", "/").json()["backend"] for _ in range(8)}
    api("PUT", "/services/s/endpoints", {"endpoints": [{"url": two.url}]})
    assert served() == {"two"}
    api("POST", "/services/s/endpoints", {"endpoints": [{"url": one.url, "weight": 1}]})
    assert served() == {"one", "two"}
    api("DELETE", f"/services/s/endpoints/127.0.0.1:{two.port}")
    assert served() == {"one"}
    api("DELETE", "/services/s/endpoints/" + quote(one.url, safe=""))
    assert gw.ask("GET", "/").status == 503
    api("DELETE", "/services/s/endpoints")
    assert served() == {"one", "two"}
    assert [e["service"] for e in api("GET", "/services/s/endpoints").value["endpoints"]] == ["s", "s"]
    assert api("GET", "/status").value["generation"] == before
    api("PUT", "/services/nobody/endpoints", {"endpoints": []}, 404)
    api("PUT", "/services/s/endpoints", {"endpoints": [{"url": "gopher://x"}]}, 422)


def test_no_console(api):
    """Without redis.addresses nothing of it answers, and says why."""
    for method, path in (("GET", "/rollout"), ("POST", "/reload?all=1")):
        assert "redis.addresses" in api(method, path, expect=409).value["detail"]
    console = api("GET", "/status").value["console"]
    assert console["state"] == "off" and "no console" in console["serving"]
    assert api.gw.metric("gateway_console_connected") == 0


def test_the_data_plane_lets_nobody_in(gateway, backend):
    """management = on opens none of the calls of v1 without credentials. F-SEC-03"""
    b = backend()
    gw = gateway(SITE + 'listeners = ( { id = "main"; address = "127.0.0.1:@port@"; management = { enabled = true; '
                 'public = [ "status", "services" ]; }; } );', one=b.url, two=b.url.replace("127.0.0.1", "127.0.0.2"))
    for method, path, role in rows():
        if path.startswith("/api/"):
            target = re.sub(r"\{\w+\}", "x", path)
            answer = gw.ask(method, target, {}, b"{}" if method in ("PUT", "POST", "PATCH") else None)
            assert answer.status == (200 if role == "NONE" else 401), (method, target, answer)


# --- the description ---------------------------------------------------------------------------------------
def rows():
    return re.findall(r'(?m)^API\((\w+), "([^"]+)", (\w+),', (TOP / "admin/cmds.def").read_text())


def resolve(doc, schema):
    while "$ref" in schema:
        at = doc
        for step in schema["$ref"].removeprefix("#/").split("/"):
            at = at[step]
        schema = at
    return schema


def check(doc, schema, value, where="$"):
    """The part of JSON schema the description uses."""
    schema = resolve(doc, schema)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            for one in schema[word]:
                try:
                    return check(doc, one, value, where)
                except AssertionError:
                    continue
            raise AssertionError((where, word, value))
    if "const" in schema:
        assert value == schema["const"], (where, value)
    if "enum" in schema:
        assert value in schema["enum"], (where, value)
    if "pattern" in schema:
        assert re.search(schema["pattern"], value), (where, value)
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict, "array": list,
             "null": type(None)}
    if "type" in schema:
        assert isinstance(value, kinds[schema["type"]]), (where, schema["type"], value)
        assert isinstance(value, bool) == (schema["type"] == "boolean"), (where, value)
    if isinstance(value, list):
        for i, v in enumerate(value):
            check(doc, schema.get("items", {}), v, f"{where}[{i}]")
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            assert name in value, (where, "lacks", name, value)
        for name, v in value.items():
            if name in schema.get("properties", {}):
                check(doc, schema["properties"][name], v, f"{where}.{name}")
            elif isinstance(schema.get("additionalProperties"), dict):
                check(doc, schema["additionalProperties"], v, f"{where}.{name}")
            else:
                assert schema.get("additionalProperties", True), (where, "does not know", name)
    return None


def walk(value):
    if isinstance(value, dict):
        yield value
        for v in value.values():
            yield from walk(v)
    elif isinstance(value, list):
        for v in value:
            yield from walk(v)


def test_the_description_is_whole(site, api):
    """OpenAPI 3.1: every reference leads somewhere, every call of the table is there and no other, every argument of
    a path is a parameter, every policy and setting has its schema. S-AD-1"""
    gw, _, _ = site
    doc = api("GET", "/openapi.json").value
    assert doc["openapi"].startswith("3.1.") and doc["info"]["version"]
    for node in walk(doc):
        if "$ref" in node:
            assert resolve(doc, node)
    described = {(m.upper(), p) for p, methods in doc["paths"].items() for m in methods}
    assert described == {(m, p) for m, p, _ in rows()}
    for path, methods in doc["paths"].items():
        for method, op in methods.items():
            args = [p["name"] for p in op.get("parameters", ()) if p["in"] == "path"]
            assert args == re.findall(r"\{(\w+)\}", path), (method, path)
            assert op["summary"] and op["responses"] and op["x-role"] in ("none", "viewer", "admin")
            assert ("requestBody" in op) <= (method in ("put", "post", "patch"))
    schemas = doc["components"]["schemas"]
    assert schemas["Route"]["properties"]["priority"]["minimum"] == -1000000
    assert schemas["Service"]["properties"]["balancer"]["enum"][:2] == ["round_robin", "least_connections"]
    assert schemas["Listener"]["required"] == ["address"]
    manual = gw.ctl_binary.parent / "gateway"
    assert manual.exists()
    for name in ("headers", "rewrite", "fixed_response"):
        assert schemas["Policy_" + name]["properties"]["policy"] == {"const": name}


# What each call is asked with: (path arguments, query, body, status).
EXAMPLES = {
    ("GET", "/status"): {}, ("GET", "/state"): {}, ("GET", "/workers"): {}, ("GET", "/stats"): {},
    ("GET", "/listeners"): {"query": "limit=1"}, ("GET", "/services"): {"query": "q=s&source=file"},
    ("GET", "/routes"): {"query": "service=s&after=a"},
    ("POST", "/listeners"): {"body": {"id": "l2", "address": "127.0.0.1:@free@"}, "status": 201},
    ("POST", "/services"): {"body": {"id": "s2", "url": "http://127.0.0.1:1"}, "status": 201},
    ("POST", "/routes"): {"body": {"id": "r2", "path": "/r2", "service": "s2"}, "status": 201},
    ("POST", "/certificates"): {"body": {"id": "c2", "certificate": "@cert@", "key": "@key@"}, "status": 201},
    ("GET", "/certificates"): {"query": "limit=1"}, ("GET", "/certificates/{id}"): {"args": ["c2"]},
    ("PUT", "/certificates/{id}"): {"args": ["c2"], "body": {
        "certificate": "@cert@", "key": "@key@", "hosts": ["a.example"]}},
    ("PATCH", "/certificates/{id}"): {"args": ["c2"], "body": {"hosts": None}},
    ("GET", "/tls/certificates"): {}, ("DELETE", "/certificates/{id}"): {"args": ["c2"]},
    ("GET", "/listeners/{id}"): {"args": ["l2"]}, ("GET", "/services/{id}"): {"args": ["s2"]},
    ("GET", "/routes/{id}"): {"args": ["r2"], "query": "all=1"},
    ("PUT", "/listeners/{id}"): {"args": ["l2"], "body": {"address": "127.0.0.1:@free@", "backlog": 10}},
    ("PUT", "/services/{id}"): {"args": ["s2"], "body": {"url": "http://127.0.0.1:2", "balancer": "round_robin"}},
    ("PUT", "/routes/{id}"): {"args": ["r2"], "body": {"path": "/r3", "service": "s2", "policies": [
        {"policy": "fixed_response", "status": 204}]}},
    ("PATCH", "/listeners/{id}"): {"args": ["l2"], "body": {"backlog": 11}},
    ("PATCH", "/services/{id}"): {"args": ["s2"], "body": {"timeouts": {"connect": "2s"}}},
    ("PATCH", "/routes/{id}"): {"args": ["r2"], "body": {"policies": None}},
    ("POST", "/changes"): {"body": {"comment": "c", "changes": [
        {"op": "patch", "kind": "route", "id": "r2", "value": {"priority": 1}}]}},
    ("GET", "/services/{id}/endpoints"): {"args": ["s2"]},
    ("PUT", "/services/{id}/endpoints"): {"args": ["s2"], "body": {"endpoints": [{"url": "http://127.0.0.1:3"}]}},
    ("POST", "/services/{id}/endpoints"): {"args": ["s2"], "body": {"endpoints": [{"url": "http://127.0.0.1:4", "weight": 2}]}},
    ("DELETE", "/services/{id}/endpoints/{endpoint}"): {"args": ["s2", "127.0.0.1:4"]},
    ("DELETE", "/services/{id}/endpoints"): {"args": ["s2"]},
    ("GET", "/endpoints"): {"query": "service=s"},
    ("POST", "/endpoints/{service}/{endpoint}"): {"args": ["s", "*"], "body": {"verdict": "none"}},
    ("GET", "/match"): {"query": "url=/users/1&method=GET&header=A:b&listener=main"},
    ("GET", "/config"): {"query": "all=1"}, ("GET", "/export"): {"query": "format=json"},
    ("GET", "/generations"): {"query": "limit=3&before=1000000"}, ("GET", "/generations/{n}"): {"args": ["2"]},
    ("GET", "/diff"): {"query": "from=1&to=0"},
    ("POST", "/rollback"): {"body": {"generation": 1, "dry_run": True}},
    ("GET", "/overrides"): {}, ("DELETE", "/overrides/{name}"): {"args": ["none"], "status": 404},
    ("GET", "/rollout"): {"status": 409},
    ("DELETE", "/routes/{id}"): {"args": ["r2"]}, ("DELETE", "/services/{id}"): {"args": ["s2"]},
    ("DELETE", "/listeners/{id}"): {"args": ["l2"]},
    ("GET", "/log/level"): {}, ("PUT", "/log/level"): {"body": {"level": "info"}},
    ("POST", "/reload"): {}, ("GET", "/openapi.json"): {},
    ("POST", "/drain"): {"status": 202},
}
OUTSIDE = {("GET", "/api/gateway/status"), ("GET", "/api/gateway/services"), ("GET", "/metrics")}


def test_every_call_is_as_described(site, api, pki):
    """Each call with examples that its own schema takes; status and body are among those described. S-AD-1"""
    gw, _, _ = site
    leaf = pki.leaf("a.example")
    doc = api("GET", "/openapi.json").value
    assert {(m, p if (m, p) in OUTSIDE else p.removeprefix(V1)) for m, p, _ in rows()} == set(EXAMPLES) | OUTSIDE
    port = str(free_port())
    calls = [(m, p, p, {}) for m, p in sorted(OUTSIDE)] + [(m, V1 + p, p, x) for (m, p), x in EXAMPLES.items()]
    for method, template, _, x in calls:
        op = doc["paths"][template][method.lower()]
        path = template
        for arg in x.get("args", ()):
            path = re.sub(r"\{\w+\}", quote(arg, safe=""), path, count=1)
        for pair in x.get("query", "").split("&") if x.get("query") else ():
            assert pair.split("=")[0] in [p["name"] for p in op["parameters"] if p["in"] == "query"], (path, pair)
        body = x.get("body")
        if body is not None:
            text = json.dumps(body).replace("@cert@", str(leaf.cert)).replace("@key@", str(leaf.key))
            body = json.loads(text.replace("@free@", port))
            media, = op["requestBody"]["content"]
            check(doc, op["requestBody"]["content"][media]["schema"], body)
        answer = gw.api(method, path + ("?" + x["query"] if x.get("query") else ""),
                        json.dumps(body).encode() if body is not None else b"" if method == "POST" else None,
                        {"Content-Type": media} if body is not None else {})
        assert answer.status == x.get("status", 200), (method, path, answer, answer.body)
        described = resolve(doc, op["responses"][str(answer.status)])
        media = answer.get("Content-Type").split(";")[0]
        assert media in described["content"], (method, path, media)
        if media != "text/plain":
            check(doc, described["content"][media]["schema"], json.loads(answer.body), f"{method} {template}")


HOSTILE_VALUES = ["", "%00", "%ff", "a" * 300, "%2F", "..", "-1", "0", "99999999999999999999", "*", "%22", "1e3", "%E2%82%AC"]
HOSTILE_BODIES = [
    b"{}", b"[]", b"null", b'{"id": 1}', b'{"changes": [1]}', b'{"changes": [{}]}', b'{"changes": {"a": 1}}',
    b'{"changes": [{"op": 1, "kind": {}, "id": []}]}', b'{"endpoints": 1}', b'{"endpoints": [1]}',
    b'{"endpoints": [{"url": 5}]}', b'{"generation": -5}', b'{"generation": 1e99}', b'{"level": 5}',
    b'{"verdict": 5, "weight": []}', b'{"changes": [{"op": "put", "kind": "route", "id": "x", "value": []}]}',
    b'{"changes": [{"op": "put", "kind": "route", "id": "x"}, {"op": "put", "kind": "route", "id": "x"}]}',
    b'{"id": "\xc3\xa4", "path": "/x"}', b'{"id": "\xff"}', b'{"a":' * 40 + b"1" + b"}" * 40]


def test_nonsense_to_every_call(site, api):
    """Whatever stands in paths, queries, headers and bodies: an answer below 500, in words; nobody falls over it."""
    gw, _, _ = site
    doc = api("GET", "/openapi.json").value
    before = gw.children()
    for method, template, _ in rows():
        op = doc["paths"][template][method.lower()]
        if template.endswith("/drain"):
            continue
        for value in HOSTILE_VALUES:
            query = "&".join(f"{p['name']}={value}" for p in op.get("parameters", ()) if p["in"] == "query")
            headers = {p["name"]: value for p in op.get("parameters", ()) if p["in"] == "header" and value}
            path = re.sub(r"\{\w+\}", value or "x", template) + ("?" + query if query else "")
            for body in HOSTILE_BODIES if "requestBody" in op else [b"" if method == "POST" else None]:
                answer = gw.api(method, path, body, headers)
                assert answer.status < 500, (method, path, body, answer, answer.body)
                if answer.status >= 400:
                    assert answer.json()["status"] == answer.status
    assert gw.children() == before
