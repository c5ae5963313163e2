#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the numbers of a run say: medians, ratios, bars, and one run beside another. Nothing is measured here.

The samples of a row are {name: [sample of each round]}; a sample's `value` is what is compared, the smaller the
better. A ratio is taken within its round, so that a slow minute of the machine is in both of its numbers.

usage: verdict.py A.json B.json      the gateway in two results of make bench, row by row
"""
import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

RELAY = ("relay",)
COLUMNS = (  # of a sample, beside its value: what is printed where it was measured
    ("rps", "requests/s", "{:.0f}"), ("busy", "busy", "{:.0%}"), ("p50", "p50 us", "{:.0f}"),
    ("p99", "p99 us", "{:.0f}"), ("pss_kib", "Pss KiB", "{:.0f}"), ("errors", "errors", "{:.0f}"))


@dataclass(frozen=True)
class Bar:
    """At most so many of the row's unit or, where `than` names some, so many times the best of these."""
    at_most: float
    than: tuple = ()


def median(samples, name, key="value"):
    return statistics.median(s[key] for s in samples[name])


def ratios(samples, name, base):
    """That of each round in which both were measured."""
    return [s["value"] / b["value"] for s, b in zip(samples[name], samples[base])]


def best(samples, names):
    return min(names, key=lambda n: median(samples, n))


def judge(bar, samples, unit, who="gateway"):
    """{line, met, at_most, than, found}: met is None where what it needs was not measured."""
    out = {"at_most": bar.at_most, "than": list(bar.than), "found": None, "met": None}
    missing = {who, *bar.than} - {n for n in samples if samples[n]}
    if missing:
        return {**out, "line": f"bar: not judged without {' and '.join(sorted(missing))}"}
    errors = sum(s.get("errors", 0) for s in samples[who])
    if bar.than:
        base = best(samples, bar.than)
        found = statistics.median(ratios(samples, who, base))
        text = f"{who} / {base} = {found:.3f}, at most {bar.at_most:g}"
    else:
        found = median(samples, who)
        text = f"{who} {found:.0f} {unit}, at most {bar.at_most:g}"
    met = found <= bar.at_most and not errors
    text += f", {errors} errors" if errors else ""
    return {**out, "found": found, "met": met, "line": f"bar: {text}: {'met' if met else 'MISSED'}"}


def all_met(verdicts):
    """False where one was missed, None where none was judged."""
    judged = [v["met"] for v in verdicts if v["met"] is not None]
    return all(judged) if judged else None


def base_of(samples, peers):
    """What a row's ratios are to: the relay or else the best of the peers; None with neither."""
    peers = [p for p in peers if samples.get(p)]
    return "relay" if samples.get("relay") else best(samples, peers) if peers else None


def table(samples, base):
    """Lines: a row for each who was measured, columns for what was."""
    shown = [c for c in COLUMNS if any(c[0] in s for rows in samples.values() for s in rows)]
    head = f"{'':15} {'median':>11} {'smallest':>11} {'largest':>11}"
    head += f" {'/ ' + base:>9} {'spread':>7}" if base else ""
    lines = [head + "".join(f" {title:>10}" for _, title, _ in shown)]
    for name, rows in samples.items():
        values = [s["value"] for s in rows]
        line = f"{name:15} {statistics.median(values):11.2f} {min(values):11.2f} {max(values):11.2f}"
        if base:
            r = ratios(samples, name, base)
            line += f" {statistics.median(r):9.3f} {max(r) - min(r):7.3f}"
        for key, _, form in shown:
            there = [s[key] for s in rows if key in s]
            total = sum(there) if key == "errors" else statistics.median(there) if there else 0
            line += f" {form.format(total) if there else '':>10}"
        lines.append(line)
    return lines


def spread(values):
    """The largest less the smallest, as a part of the median."""
    return (max(values) - min(values)) / statistics.median(values)


def difference(a, b, paired):
    """(B / A, noise, beyond): beyond says whether it differs by more than the runs of one differ among themselves;
    None where there is one run, which says nothing of that. `paired`: a[i] and b[i] are of one round."""
    if paired:
        series = [y / x for x, y in zip(a, b)]
        ratio, noise = statistics.median(series), spread(series)
    else:
        ratio, noise = statistics.median(b) / statistics.median(a), max(spread(a), spread(b))
    return ratio, noise, None if min(len(a), len(b)) < 2 else abs(ratio - 1) > noise


def said(ratio, beyond):
    if beyond is None:
        return "one run says nothing"
    return ("worse" if ratio > 1 else "better") if beyond else "within the spread"


HEADER = f"{'':14} {'A':>10} {'B':>10} {'B / A':>7} {'spread':>7}"


def line_of(name, a, b, paired, note):
    ratio, noise, beyond = difference(a, b, paired)
    return (f"{name:14} {statistics.median(a):10.3f} {statistics.median(b):10.3f} {ratio:7.3f} {noise:7.3f}  "
            f"{said(ratio, beyond)}; {note}")


def compare_pair(rows, a="A", b="B"):
    """Lines on two gateways measured in one run, round by round."""
    lines = [HEADER]
    for name, row in rows.items():
        values = {n: [s["value"] for s in row["samples"].get(n, ())] for n in (a, b)}
        if values[a] and values[b]:
            lines.append(line_of(name, values[a], values[b], True, row["unit"]))
        else:
            lines.append(f"{name:14} not measured of both")
    return lines


def numbers(row, who):
    """(what of a row can be held against another run, its unit): the ratio to the relay where it is there, for two
    runs are two minutes of a machine or two machines."""
    samples = row["samples"]
    if not samples.get(who):
        return [], ""
    if samples.get("relay"):
        return ratios(samples, who, "relay"), "times the relay"
    return [s["value"] for s in samples[who]], row["unit"]


def compare_runs(a, b, who="gateway"):
    """Lines on two results: the rows that both have, and what is different about the runs."""
    lines = []
    for key in ("kernel", "settings.runs", "settings.seconds", "settings.connections", "settings.size"):
        was, now = (pick(r, key) for r in (a, b))
        if was != now:
            lines.append(f"note: {key.rpartition('.')[2]}: {was} in A, {now} in B")
    lines.append(HEADER)
    for name in [*a["rows"], *(n for n in b["rows"] if n not in a["rows"])]:
        sides = [numbers(r["rows"][name], who) if name in r["rows"] else ([], "") for r in (a, b)]
        if not (sides[0][0] and sides[1][0]):
            lines.append(f"{name:14} not in both")
        elif sides[0][1] != sides[1][1]:
            lines.append(f"{name:14} in {sides[0][1]} in A, in {sides[1][1]} in B")
        else:
            lines.append(line_of(name, sides[0][0], sides[1][0], False, sides[0][1]))
    return lines


def pick(data, path):
    for key in path.split("."):
        data = data.get(key) if isinstance(data, dict) else None
    return data


def load(path):
    """A result; exits with what is wrong with it."""
    try:
        data = json.loads(Path(path).read_text())
        if not all("samples" in row and "unit" in row for row in data["rows"].values()):
            raise KeyError("samples")
        return data
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        sys.exit(f"compare: {path} is no latest.json of this benchmark: {e}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print("\n".join(compare_runs(load(sys.argv[1]), load(sys.argv[2]))))
