# SPDX-License-Identifier: Apache-2.0
"""gatewayctl as a person and as a pipeline uses it: apply, diff, get, set, delete, export, history, completion.
S-AD-1, S-AD-2, R-8.1, R-8.3"""
import json
import re
import shutil
import subprocess

import pytest

from gateway import TOP

SITE = """
    services = ( { id = "s"; url = "@one@"; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
"""


@pytest.fixture
def gw(gateway, backend):
    return gateway(SITE, one=backend(name="one").url)


OBJECTS = {"services": [{"id": "new", "url": "http://127.0.0.1:1"}],
           "routes": [{"id": "n1", "path": ["/n1"], "service": "new"}, {"id": "n2", "path": ["/n2"], "service": "new"}]}


def refused(done, *words):
    assert done.returncode == 1, done
    for word in words:
        assert word in done.stderr, done.stderr


def test_apply_files_of_both_forms(gw, tmp_path):
    """JSON as export prints it, libconfig as in gateway.conf, a directory of both; one generation; again: nothing."""
    (tmp_path / "a.json").write_text(json.dumps(OBJECTS))
    (tmp_path / "b.conf").write_text("""
        workers = 7;
        routes = ( { id = "n3"; path = [ "/n3", "/n4/*" ]; service = "new"; timeouts = { total = "3s"; };
                     policies = ( { policy = "fixed_response"; status = 204; } ); } );""")
    (tmp_path / "notes.txt").write_text("nothing for a gateway")
    would = gw.ctl("apply", "-f", tmp_path, "--dry-run")
    assert "4 would change" in would.stdout and "workers: a setting of the instance, not applied" in would.stderr
    assert gw.ctl_json("get", "routes")["total"] == 1
    done = gw.ctl("apply", "-f", tmp_path, "--comment", "from a test").stdout
    for word in (r"service +new +created", r"route +n1 +created", r"route +n3 +created", r"4 changed, generation 2"):
        assert re.search(word, done), done
    assert gw.ask("GET", "/n4/x").status == 204
    assert gw.ctl_json("get", "route", "n3")["timeouts"] == {"total": "3s"}
    again = gw.ctl("apply", "-f", tmp_path).stdout
    assert "0 changed, generation 2" in again and "n1" not in again
    assert gw.ctl_json("generations", "2")["comment"] == "from a test"


def test_what_is_exported_can_be_applied(gw, gateway, tmp_path):
    """To another instance, in either form; then both export the same."""
    (tmp_path / "a.json").write_text(json.dumps(OBJECTS))
    gw.ctl("apply", "-f", tmp_path / "a.json")
    for form in ("json", "conf"):
        other = gateway("")
        text = gw.ctl("export", *(["libconfig"] if form == "conf" else [])).stdout
        (tmp_path / f"out.{form}").write_text(text.replace(str(gw.port), str(other.port)))
        if form == "json":
            parts = json.loads((tmp_path / "out.json").read_text())
            del parts["listeners"]
            (tmp_path / "out.json").write_text(json.dumps(parts))
        else:
            text = (tmp_path / "out.conf").read_text()
            (tmp_path / "out.conf").write_text(text[text.index("services = ("):])
        other.ctl("apply", "-f", tmp_path / f"out.{form}")
        mine, its = (json.loads(g.ctl("export").stdout) for g in (gw, other))
        assert mine["routes"] == its["routes"] and mine["services"] == its["services"]


def test_apply_refuses_with_places(gw, tmp_path):
    """What cannot be read, and what the gateway refuses, by file, line, field; exit 1 and nothing changed. R-8.3"""
    def apply(name, text, *args):
        (tmp_path / name).write_text(text)
        return gw.ctl("apply", "-f", tmp_path / name, *args, check=False)
    refused(apply("a.json", "{"), "a.json:1")
    refused(apply("a.json", "[]"), "an object is needed")
    refused(apply("a.json", '{"routes": {}}'), "a list of objects")
    refused(apply("a.json", '{"routes": [{"path": "/"}]}'), "has no id")
    refused(apply("b.conf", "routes = ( { id = \n"), "b.conf:")
    refused(gw.ctl("apply", "-f", tmp_path / "none", check=False), "No such file")
    (tmp_path / "empty").mkdir()
    refused(gw.ctl("apply", "-f", tmp_path / "empty", check=False), "no *.conf or *.json")
    refused(apply("a.json", '{"routes": [{"id": "x", "path": "x", "bogus": 1}]}'), "routes[x].path", "routes[x].bogus")
    refused(apply("a.json", '{"routes": [{"id": "all", "path": "/", "service": "s"}]}'), 'source "file"')
    two = {"routes": [{"id": "good", "path": "/g", "service": "s"}, {"id": "bad", "path": "/b", "service": "nobody"}]}
    refused(apply("c.json", json.dumps(two)), "routes[bad]")
    assert gw.ctl_json("get", "routes")["total"] == 1
    part = apply("c.json", json.dumps(two), "--partial")
    assert part.returncode == 1 and "good" in part.stdout and "no such service" in part.stdout
    assert gw.ctl_json("get", "routes")["total"] == 2
    assert gw.ctl("apply", check=False).returncode == 2
    assert gw.ctl("apply", "-f", tmp_path, "--bogus", check=False).returncode == 2


def test_diff(gw, tmp_path):
    """Of a file and what is in force: what apply would do, field by field; of two generations. R-8.1"""
    (tmp_path / "a.json").write_text(json.dumps(OBJECTS))
    out = gw.ctl("diff", "-f", tmp_path / "a.json").stdout
    assert "+ route n1" in out and '+ path = ["/n1"]' in out
    assert gw.ctl_json("get", "routes")["total"] == 1
    gw.ctl("apply", "-f", tmp_path / "a.json")
    assert gw.ctl("diff", "-f", tmp_path / "a.json").stdout == "no difference\n"
    gw.ctl("set", "route", "n1", "priority=9", "timeouts.total=1s")
    out = gw.ctl("diff", "-f", tmp_path / "a.json").stdout
    assert "~ route n1" in out and "- priority = 9" in out and "n2" not in out
    out = gw.ctl("diff", "2", "3").stdout
    assert out.splitlines()[0] == "~ route n1" and "+ priority = 9" in out and "+ timeouts" in out
    assert gw.ctl("diff", "3").stdout == "no difference\n"
    assert {c["id"] for c in gw.ctl_json("diff", "1")["changes"]} == {"new", "n1", "n2"}
    for wrong in ([], ["x"], ["0"], ["1", "2", "3"]):
        assert gw.ctl("diff", *wrong, check=False).returncode == 2, wrong


def test_get_set_delete(gw):
    """One object: three forms, settings by their dotted names, JSON or text, null to remove one; dry runs."""
    gw.ctl("apply", "-f", write(gw, OBJECTS))
    gw.ctl("set", "service", "new", "timeouts.connect=2s", 'endpoints=[{"url": "http://127.0.0.1:2"}]', "url=null",
           "balancer=least_connections")
    got = gw.ctl_json("get", "services", "new")
    assert got["timeouts"] == {"connect": "2s"} and "url" not in got and got["balancer"] == "least_connections"
    assert got["endpoints"] == [{"url": "http://127.0.0.1:2"}]
    shown = gw.ctl("get", "service", "new").stdout
    assert re.search(r"timeouts.connect +2s", shown) and re.search(r"endpoints +url=http://127.0.0.1:2", shown)
    text = gw.ctl("get", "service", "new", "-o", "libconfig").stdout
    assert 'connect = "2s";' in text
    assert json.loads(gw.ctl("get", "route", "n1", "-o", "json").stdout)["id"] == "n1"
    assert "n1" in gw.ctl("get", "routes", "-o", "libconfig").stdout
    assert "would change" in gw.ctl("delete", "route", "n1", "--dry-run").stdout
    assert "would change" in gw.ctl("set", "route", "n1", "priority=1", "--dry-run").stdout
    assert "priority" not in gw.ctl_json("get", "route", "n1")
    gw.ctl("delete", "route", "n1")
    refused(gw.ctl("get", "route", "n1", check=False), 'no route "n1"')
    refused(gw.ctl("delete", "route", "n1", check=False), "is not there")
    refused(gw.ctl("set", "route", "n2", "priority=high", check=False), "routes[n2].priority")
    for wrong in (["get"], ["get", "things"], ["get", "routes", "-o", "xml"], ["set", "route", "n2", "priority"],
                  ["set", "route", "n2", "=1"], ["delete", "route"], ["export", "xml"], ["get", "routes", "--bogus"],
                  ["rollback"], ["rollback", "x"], ["generations", "x"], ["rollout", "status", "--wait", "soon"]):
        done = gw.ctl(*wrong, check=False)
        assert done.returncode == 2 and done.stderr, wrong


def write(gw, objects):
    path = gw.dir / "objects.json"
    path.write_text(json.dumps(objects))
    return path


def test_history(gw):
    """generations lists and shows; rollback there, and back again. R-8.1"""
    gw.ctl("apply", "-f", write(gw, OBJECTS))
    gw.ctl("delete", "route", "n1")
    out = gw.ctl("generations").stdout.splitlines()
    assert out[0].split() == ["GENERATION", "TIME", "SOURCE", "AUTHOR", "CHANGED", "COMMENT"] and len(out) == 4
    assert gw.ctl("generations", "--limit", "1").stdout.count("\n") == 2
    out = gw.ctl("generations", "3").stdout
    assert re.search(r"generation +3\n", out) and "route n1" in out and '- path = ["/n1"]' in out
    assert re.search(r"route +n1 +created", gw.ctl("rollback", "2", "--dry-run").stdout)
    gw.ctl("rollback", "2")
    assert gw.ctl("get", "route", "n1").returncode == 0
    refused(gw.ctl("generations", "77", check=False), "no such generation")


def test_shell_completion(gw):
    """The shell is offered commands, options, kinds and what there is. (The manual has every command, too.)"""
    def offered(*said):
        return gw.ctl("--complete", *said).stdout.split()
    assert {"status", "apply", "rollout", "endpoints"} <= set(offered())
    assert set(offered("endpoints")) >= {"up", "down", "set", "reset"}
    assert offered("get")[:3] == ["listeners", "services", "routes"]
    assert offered("get", "route")[:1] == ["all"] and offered("endpoints", "down")[:1] == ["s"]
    assert offered("endpoints", "down", "s")[0].startswith("127.0.0.1:")
    assert "--dry-run" in offered("delete", "route", "all")
    manual = gw.ctl("--manual").stdout
    for words in re.findall(r'(?m)^CTL\("([^"]+)"', (TOP / "admin/ctl_cmds.def").read_text()):
        assert f".It Ic {words}" in manual
    if shutil.which("bash"):
        script = (f'export PATH={gw.ctl_binary.parent}:$PATH GATEWAY_SOCKET={gw.socket}; . {TOP}/contrib/gatewayctl.bash; '
                  'COMP_WORDS=(gatewayctl get route ""); COMP_CWORD=3; _gatewayctl; echo "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert "all" in done.stdout.split(), done
