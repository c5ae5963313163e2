# SPDX-License-Identifier: Apache-2.0
"""One table for all workers: what routes cost in memory does not grow with the number of workers. F-PERF-02"""
import json
import re
from pathlib import Path

import pytest

from gateway import SANITIZED

N = 50000
MB = 1 << 20
SITE = """
    workers = 4;
    limits = { worker_slots = 8; connections = 1000; map_size = "256M"; routes = 60000; };
    services = ( { id = "s"; url = "@origin@"; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
"""


def private(pid):
    """Octets that are this process's alone."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(int(n) for n in re.findall(r"(?m)^Private_\w+:\s+(\d+) kB", text))


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's shadow is not what is measured")
def test_routes_are_there_once(gateway, backend):
    """50,000 routes more: no worker grows by half of what a copy would take, and a route's place in the table is bounded."""
    gw = gateway(SITE, origin=backend().url)
    workers = list(gw.children("gw-worker"))
    for _ in range(200):
        gw.ask("GET", "/")
    before = {pid: private(pid) for pid in workers}
    used = gw.ctl_json("status")["fill"]["map_used_bytes"]
    document = {"changes": [{"op": "put", "kind": "route", "id": f"r{i}", "value": {
        "host": f"h{i % 500}.example", "path": f"/api/v1/things{i}/x", "service": "s"}} for i in range(N)]}
    answer = gw.api("POST", "/api/gateway/v1/changes", json.dumps(document).encode(),
                    (("Content-Type", "application/json"),))
    assert answer.status in (200, 201), answer.body[:500]
    for i in range(0, N, 50):
        assert gw.ask("GET", f"/api/v1/things{i}/x", host=f"h{i % 500}.example").status == 200
    grown = {pid: private(pid) - before[pid] for pid in workers}
    table = gw.ctl_json("status")["fill"]["map_used_bytes"] - used
    assert table / N < 2048, f"{table / N:.0f} octets a route"
    assert table > 10 * MB and all(g < table / 2 for g in grown.values()), (grown, table)
    assert set(gw.children("gw-worker")) == set(workers)
