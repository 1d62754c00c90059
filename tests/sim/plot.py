#!/usr/bin/env python3
"""Draws how many downloads had ended by when, as SVG.

usage: plot.py --out FILE.svg [--bound SECONDS] [--title TEXT] NAME=FILE...
Each FILE holds the seconds of one download a line, as krakend-sim --results writes them.
"""
import argparse
import sys
from pathlib import Path

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 400, 60, 50, 40, 20
COLOURS = ["#1f6feb", "#d1242f", "#1a7f37", "#8250df", "#9a6700"]


def read(path):
    values = sorted(float(line) for line in Path(path).read_text().split())
    if not values:
        sys.exit(f"{path}: holds no download")
    return values


def draw(curves, bound, title):
    longest = max([values[-1] for _, values in curves] + ([bound] if bound else [])) * 1.05
    x = lambda seconds: LEFT + (WIDTH - LEFT - RIGHT) * seconds / longest
    y = lambda share: HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
           f'font-size="12">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="22" font-size="15">{title}</text>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(share):.1f}" y2="{y(share):.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    step = next(s for s in (0.5, 1, 2, 5, 10, 20, 50, 100) if longest / s <= 12)
    for i in range(int(longest / step) + 1):
        out.append(f'<text x="{x(i * step):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{i * step:g}</text>')
    out.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 10}" text-anchor="middle">seconds from request to last byte</text>')
    if bound:
        out.append(f'<line x1="{x(bound):.1f}" x2="{x(bound):.1f}" y1="{y(0)}" y2="{y(1)}" stroke="#666" '
                   f'stroke-dasharray="4 3"/><text x="{x(bound) - 4:.1f}" y="{y(1) - 4:.1f}" text-anchor="end">bound</text>')
    for number, (name, values) in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        points = [(0, 0)] + [(v, (i + 1) / len(values)) for i, v in enumerate(values)]
        if len(points) > 1000:
            points = points[:: len(points) // 1000] + [points[-1]]
        line = " ".join(f"{x(v):.1f},{y(share):.1f}" for v, share in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out.append(f'<text x="{LEFT + 12}" y="{TOP + 18 + 16 * number}" fill="{colour}">{name}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--bound", type=float)
    parser.add_argument("--title", default="Downloads that have ended")
    parser.add_argument("curves", nargs="+", metavar="NAME=FILE")
    args = parser.parse_args()
    curves = []
    for text in args.curves:
        name, equals, path = text.partition("=")
        if not equals:
            parser.error(f"{text}: not NAME=FILE")
        curves.append((name, read(path)))
    Path(args.out).write_text(draw(curves, args.bound, args.title))


if __name__ == "__main__":
    main()
