# SPDX-License-Identifier: Apache-2.0
"""The state on disk: what it gives back, and what an instance does when it cannot be read. S-OP-3, F-INST-03, S-AD-1"""
import json
import os
import shutil

import pytest

from gateway import until

SITE = """
    services = ( { id = "s"; url = "@origin@"; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
"""
V1 = "/api/gateway/v1"


def put(gw, path, value):
    answer = gw.api("PUT", V1 + path, json.dumps(value).encode(), (("Content-Type", "application/json"),))
    assert answer.status in (200, 201), answer.body


def said(body):
    return {"path": "/said", "policies": [{"policy": "fixed_response", "status": 200, "body": body}]}


def boot(gw, damage=None):
    """Stops, loses what a reboot loses, damages the state, starts again."""
    gw.stop()
    shutil.rmtree(gw.dir / "run")
    (gw.dir / "error.log").unlink()
    if damage:
        damage(gw.dir / "state" / "state")
    gw.start()


def torn(state):
    data = state / "data.mdb"
    data.write_bytes(data.read_bytes()[:3 * 4096])  # both heads whole, the records gone


def scrambled(state):
    data = state / "data.mdb"
    octets = bytearray(data.read_bytes())
    for at in range(16, len(octets), 97):
        octets[at] ^= 0x5a
    data.write_bytes(octets)


def foreign(state):
    (state / "data.mdb").write_bytes(b"SQLite format 3\0" + bytes(8192))


def test_survives_a_boot(gateway, backend):
    """Objects, history and verdicts are there after the run directory is gone; the version of each goes on."""
    gw = gateway(SITE, origin=backend().url)
    put(gw, "/routes/said", said("one"))
    put(gw, "/routes/said", said("two"))
    gw.ctl("endpoints", "drain", "s", "*")
    before = gw.ctl_json("generations")["generations"]
    boot(gw)
    assert gw.ask("GET", "/said").body == b"two"
    assert gw.ctl_json("endpoints", "list")["endpoints"][0]["verdict"] == "drain"
    after = gw.ctl_json("generations")["generations"]
    assert [g["generation"] for g in before] == [g["generation"] for g in after][-len(before):]
    newest = gw.ctl_json("status")["generation"]
    put(gw, "/routes/said", said("three"))
    gw.ctl("rollback", newest)
    assert gw.ask("GET", "/said").body == b"two"


@pytest.mark.parametrize("damage", [torn, scrambled, foreign], ids=lambda f: f.__name__)
def test_what_cannot_be_read_is_set_aside(gateway, backend, damage):
    """The files are served, nothing half read; log and status say what was set aside, and where; it is kept for whoever
    wants to look, and changes are remembered again."""
    gw = gateway(SITE, origin=backend().url)
    for i in range(50):
        put(gw, f"/routes/r{i}", {**said("x" * 200), "path": f"/r{i}"})
    boot(gw, damage)
    have = {r["id"] for r in json.loads(gw.api("GET", V1 + "/routes?limit=1000").body)["routes"]}
    assert have == {"all"}, "all of it or nothing"
    assert gw.ask("GET", "/x").status == 200
    log = gw.wait_log(r"(?:warn|error) keeper.*state .* set aside as (\S+): \S+")
    assert os.path.isfile(log[1] + "/data.mdb"), log[0]
    assert "set aside" in gw.ctl("status").stdout
    put(gw, "/routes/said", said("new"))
    boot(gw)
    assert gw.ask("GET", "/said").body == b"new"
    until(lambda: gw.ctl_json("status")["state"]["writable"], 5, "a state that can be written")
