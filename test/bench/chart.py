#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A result of the benchmark as a chart: for each row a bar for each who was measured, as a ratio to the relay or, in
rows without it, to the best of the peers; shorter is better. A black mark is what the gateway may reach at most.

usage: chart.py latest.json [latest.svg]
"""
import statistics
import sys
from html import escape

import verdict

COLORS = {"gateway": "#0b5cad", "one-route": "#7fb2e5", "nginx": "#4e9a5b", "nginx-plain": "#b5d6b9",
          "haproxy": "#c77d2e", "haproxy-plain": "#ecd0ad", "nghttpx": "#8a6bb0", "relay": "#b8b8b8"}
OTHERS = ("#0b5cad", "#c2405a", "#3a8f92", "#777777")
WIDTH, LEFT, RIGHT = 1000, 310, 90
THICK, GAP, SPACE = 13, 2, 14  # a bar, between bars, between rows
WIDEST = 2.5  # a ratio beyond it is cut off and told


def color(name, names):
    strangers = [n for n in names if n not in COLORS]
    return COLORS.get(name) or OTHERS[strangers.index(name) % len(OTHERS)]


def limit(row):
    """Where the strictest bar of the gateway stands, in ratios to the row's base; None without one."""
    found = []
    for bar in row["bars"]:
        names = [n for n in bar["than"] if row["samples"].get(n)]
        if len(names) < len(bar["than"]):
            continue
        if names:
            best = verdict.best(row["samples"], names)
            found.append(bar["at_most"] * ratio(row, best))
        else:
            found.append(bar["at_most"] / verdict.median(row["samples"], row["base"]))
    return min(found) if found else None


def ratio(row, name):
    return statistics.median(verdict.ratios(row["samples"], name, row["base"]))


def shown(row):
    """Who has a bar: the relay is what the others are ratios to."""
    return [n for n in row["samples"] if n != "relay"]


def text(x, y, what, size=12, extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" {extra}>{escape(what)}</text>'


def box(x, y, width, height, fill, extra=""):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" {extra}/>'


def wrapped(words, width=46):
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines


class Panel:
    """Rows of one base and what scale they have."""

    def __init__(self, title, rows, names):
        self.title, self.rows, self.names = title, rows, names
        ends = [min(v, WIDEST) for row in rows.values()
                for v in [limit(row) or 0, *(ratio(row, n) for n in shown(row))]]
        self.unit = (WIDTH - LEFT - RIGHT) / max([1.2, *ends])

    def height_of(self, row):
        bars = len(shown(row)) * (THICK + GAP)
        return max(bars, 18 + 14 * len(wrapped(row["about"])))

    @property
    def height(self):
        return 52 + sum(self.height_of(r) + SPACE for r in self.rows.values())

    def x(self, value):
        return LEFT + value * self.unit

    def draw(self, y):
        out = [text(20, y + 16, self.title, 14, 'font-weight="bold"')]
        top, bottom = y + 40, y + self.height - SPACE
        out += self.grid(top, bottom)
        y = top + SPACE / 2
        for name, row in self.rows.items():
            out += self.row(name, row, y)
            y += self.height_of(row) + SPACE
        return out

    def grid(self, top, bottom):
        out, step, n = [], .25 if self.unit > 250 else .5, 0
        while self.x(n * step) <= WIDTH - RIGHT + 1:
            x, how = self.x(n * step), 'stroke="#666" stroke-dasharray="4 3"' if n * step == 1 else 'stroke="#e3e3e3"'
            out += [f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" {how}/>',
                    text(x, top - 5, f"{n * step:g}", 11, 'text-anchor="middle" fill="#666"')]
            n += 1
        return out

    def row(self, name, row, y):
        color_of = "#a01818" if row["met"] is False else "#111"
        title = name + (" (missed)" if row["met"] is False else "")
        out = [text(20, y + 11, title, 13, f'font-weight="bold" fill="{color_of}"')]
        out += [text(20, y + 26 + 14 * i, line, 11, 'fill="#555"') for i, line in enumerate(wrapped(row["about"]))]
        most = limit(row)
        for i, who in enumerate(shown(row)):
            at = y + i * (THICK + GAP)
            mine = most if who == "gateway" and most and most <= WIDEST else None
            out += self.bar(who, ratio(row, who), at, mine)
            if mine:
                x = self.x(mine)
                out.append(box(x - 1.25, at - 3, 2.5, THICK + 6, "#000"))
        return out

    def bar(self, who, value, y, mark):
        cut = value > WIDEST
        end = self.x(min(value, WIDEST))
        label = f"{value:.2f} {who}" + (" >>" if cut else "")
        shift = self.x(mark) - end if mark else 0
        if not 0 < shift < 8 * len(label):  # the mark does not go through the label
            shift = 0
        inside = end + shift + 8 * len(label) > WIDTH  # no room behind it
        where = (end - 6, 'text-anchor="end" fill="#fff"') if inside else (end + shift + 6, 'fill="#333"')
        return [box(LEFT, y, end - LEFT, THICK, color(who, self.names)),
                text(where[0], y + THICK - 3, label, 11, where[1])]


def panels(result):
    rows = {n: r for n, r in result["rows"].items() if r.get("base")}
    names = list(dict.fromkeys(n for r in rows.values() for n in r["samples"]))
    relay = {n: r for n, r in rows.items() if r["base"] == "relay"}
    others = {n: r for n, r in rows.items() if r["base"] != "relay"}
    out = []
    if relay:
        out.append(Panel("Ratio to a byte-blind relay", relay, names))
    if others:
        out.append(Panel("Ratio to the best of the peers", others, names))
    return out


def draw(result):
    """The chart's SVG."""
    s, parts, y = result["settings"], [], 66
    parts.append(text(20, 30, "CPU and memory for the same work: shorter is better", 18, 'font-weight="bold"'))
    parts.append(text(20, 50, f"medians of {s['runs']} interleaved runs of {s['seconds']} s, one core for the proxy; "
                              f"black mark: what the gateway may reach; {result['time'][:10]}", 12, 'fill="#555"'))
    for panel in panels(result):
        parts += panel.draw(y)
        y += panel.height + 16
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" '
        'font-family="DejaVu Sans, Helvetica, Arial, sans-serif">', box(0, 0, WIDTH, y, "#fff"), *parts, "</svg>", ""])


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    drawn = draw(verdict.load(sys.argv[1]))
    if len(sys.argv) == 3:
        with open(sys.argv[2], "w", encoding="utf-8") as f:
            f.write(drawn)
    else:
        sys.stdout.write(drawn)
