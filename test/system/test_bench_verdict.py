# SPDX-License-Identifier: Apache-2.0
"""What the benchmark concludes from its numbers: bars, ratios, comparisons, the chart. No proxy runs. F-PERF-01"""
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
sys.path.insert(0, str(BENCH))

import chart  # noqa: E402
import rows  # noqa: E402
import verdict  # noqa: E402
from verdict import Bar  # noqa: E402


def samples(**values):
    """Samples as a row has them; gateway=[16, 17] is two rounds."""
    return {name.replace("_", "-"): [{"value": float(v), "errors": 0} for v in vs] for name, vs in values.items()}


def result(bars=(), base="relay", unit="us", **values):
    row = {"about": "some work", "unit": unit, "base": base, "met": True, "samples": samples(**values)}
    row["bars"] = [verdict.judge(b, row["samples"], unit) for b in bars]
    return {"time": "2026-01-01T00:00:00Z", "kernel": "6", "settings": {"runs": 2, "seconds": 1}, "rows": {"x": row}}


def test_bar_to_the_relay():
    """A ratio is taken within its round: a slow minute of the machine is in both numbers. F-PERF-01"""
    s = samples(relay=[10, 20, 10], gateway=[11, 22, 11])
    assert verdict.judge(Bar(1.15, ("relay",)), s, "us")["met"] is True
    out = verdict.judge(Bar(1.05, ("relay",)), s, "us")
    assert out["met"] is False and out["found"] == pytest.approx(1.1) and "MISSED" in out["line"]


def test_bar_to_the_best_peer():
    """Of two peers the better one counts."""
    s = samples(nginx=[10, 10], haproxy=[8, 8], gateway=[9, 9])
    assert verdict.judge(Bar(1.0, ("nginx", "haproxy")), s, "us")["met"] is False
    assert verdict.judge(Bar(1.0, ("nginx",)), s, "us")["met"] is True
    assert "gateway / haproxy = 1.125" in verdict.judge(Bar(1.0, ("nginx", "haproxy")), s, "us")["line"]


def test_bar_that_is_a_number():
    s = samples(gateway=[500, 700, 590])
    assert verdict.judge(Bar(600), s, "octets")["met"] is True
    assert verdict.judge(Bar(589), s, "octets")["met"] is False


def test_bar_on_its_edge():
    """At most means that equal is met."""
    assert verdict.judge(Bar(1.0, ("nginx",)), samples(nginx=[8], gateway=[8]), "us")["met"] is True


def test_errors_miss_a_bar():
    """Requests that failed are cheap, and no result."""
    s = samples(relay=[10], gateway=[5])
    s["gateway"][0]["errors"] = 3
    out = verdict.judge(Bar(1.15, ("relay",)), s, "us")
    assert out["met"] is False and "3 errors" in out["line"]


def test_nothing_is_judged_without_a_peer():
    s = samples(nginx=[8], gateway=[9])
    out = verdict.judge(Bar(1.0, ("nginx", "haproxy")), s, "us")
    assert out["met"] is None and "without haproxy" in out["line"]
    assert verdict.all_met([out]) is None
    assert verdict.all_met([out, {"met": True}]) is True and verdict.all_met([out, {"met": False}]) is False


@pytest.mark.parametrize("a, b, paired, beyond", [
    ([10, 10.2, 9.9], [12, 12.1, 12.2], False, True),
    ([10, 12, 9], [12, 10, 11], False, False),  # 10 % apart, and 30 % among themselves
    ([10, 20, 30], [11, 22, 33], True, True),   # the rounds differ, their ratios do not
    ([10, 20, 30], [11, 22, 33], False, False),
    ([10], [30], False, None)])                 # one run says nothing of its spread
def test_difference_beyond_the_spread(a, b, paired, beyond):
    assert verdict.difference(a, b, paired)[2] is beyond


def test_compare_runs():
    """Rows with a relay are compared by their ratio to it: the second machine is half as fast and no worse."""
    a = result(relay=[10, 10], gateway=[12, 12.1])
    b = result(relay=[20, 20], gateway=[24, 24.2])
    line = next(l for l in verdict.compare_runs(a, b) if l.startswith("x "))
    assert "within the spread" in line and "times the relay" in line
    b = result(relay=[20, 20], gateway=[30, 30.1])
    line = next(l for l in verdict.compare_runs(a, b) if l.startswith("x "))
    assert " worse" in line and "1.247" in line
    b["kernel"] = "7"
    assert "note: kernel: 6 in A, 7 in B" in verdict.compare_runs(a, b)
    b["rows"]["y"] = b["rows"].pop("x")
    assert [l for l in verdict.compare_runs(a, b) if "not in both" in l] == [
        "x              not in both", "y              not in both"]


def test_compare_files(tmp_path):
    """verdict.py, as make bench-compare calls it: a table, or what is wrong with a file."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps(result(relay=[10, 10], gateway=[12, 12])))
    (tmp_path / "old.json").write_text('{"result": {}}')

    def run(*names):
        return subprocess.run([BENCH / "verdict.py", *(tmp_path / n for n in names)], capture_output=True, text=True,
                              check=False)

    good, bad = run("a.json", "b.json"), run("a.json", "old.json")
    assert good.returncode == 0 and "1.200" in good.stdout
    assert bad.returncode == 1 and "old.json is no latest.json" in bad.stderr and "Traceback" not in bad.stderr


def test_table_has_what_was_measured():
    """Columns that no sample has are left out; the ratio and its spread stand beside the medians."""
    s = samples(relay=[10, 10], gateway=[11, 12])
    head, *lines = verdict.table(s, "relay")
    assert "/ relay" in head and "p99" not in head and "errors" in head
    assert lines[1].split()[:6] == ["gateway", "11.50", "11.00", "12.00", "1.150", "0.100"]


def test_chart():
    """Valid XML; a bar's length is its ratio, and the mark is the strictest bar of the row."""
    r = result((Bar(1.15, ("relay",)), Bar(1.0, ("nginx",))), relay=[10, 10], gateway=[12, 12], nginx=[11, 11])
    root = ET.fromstring(chart.draw(r))
    assert chart.limit(r["rows"]["x"]) == pytest.approx(1.1)
    boxes = {b.get("fill"): b for b in root.iter("{http://www.w3.org/2000/svg}rect")}
    widths = [float(boxes[chart.COLORS[n]].get("width")) for n in ("gateway", "nginx")]
    assert widths[0] / widths[1] == pytest.approx(12 / 11, rel=.01)
    mark = float(boxes["#000"].get("x")) + 1.25
    assert mark == pytest.approx(chart.LEFT + widths[1], abs=.2)


def test_chart_of_numbers_and_of_nothing():
    """Rows without a relay are ratios to the best peer; what failed has no bar and breaks nothing."""
    r = result((Bar(600),), base="nginx", unit="octets", gateway=[400], nginx=[800])
    assert chart.limit(r["rows"]["x"]) == pytest.approx(.75)
    assert "best of the peers" in chart.draw(r)
    r["rows"]["x"].update(base=None, samples={})
    ET.fromstring(chart.draw(r))


def test_rows_are_whole():
    """Whom a bar names is measured in the row; a column of the guide's table and a title say which row it is."""
    said = (BENCH.parents[1] / "contrib/doc/benchmarks").read_text()
    for name, row in rows.ROWS.items():
        assert set(row.beside) <= rows.MAKERS.keys(), name
        assert {n for bar in row.bars for n in bar.than} <= set(row.beside), name
        assert row.bars and f"    {name} " in said, name
