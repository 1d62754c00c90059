"""The table of docs/metrics.md, made from what every role tells at /metrics. Run as a program it writes the page anew."""

import os
import pathlib
import re
import sys
import tempfile

import cluster
from single_role import HOST, ROLES

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "metrics.md")
BEGIN = "| metric | type | labels | roles | meaning |\n|---|---|---|---|---|\n"


def families(text):
    """Name, type, labels and help of what a /metrics page tells."""
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.M))
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M):
        labels = set()
        for sample in re.findall(rf"^{name}(?:_bucket|_sum|_count)?{{([^}}]*)}}", text, re.M):
            labels |= set(re.findall(r'(\w+)="', sample)) - {"le", "role"}
        yield name, kind, labels, helps[name]


def rows(folder):
    """Lines of the table, by name."""
    known = {}
    for role, (port, flags) in ROLES.items():
        process = cluster.Process(role, pathlib.Path(folder) / f"metrics-{role}", f"--listen-address={HOST}", *flags)
        process.request(port, "GET", "/health")  # so that there is a request to tell of
        for name, kind, labels, meaning in families(process.request(port, "GET", "/metrics")[2].decode()):
            entry = known.setdefault(name, (kind, set(), [], meaning))
            entry[1].update(labels)
            entry[2].append(role)
        process.stop()
    lines = []
    for name, (kind, labels, roles, meaning) in sorted(known.items()):
        who = "all" if len(roles) == len(ROLES) else ", ".join(roles)
        lines.append(f"| `{name}` | {kind} | {', '.join(sorted(labels))} | {who} | {meaning} |")
    return lines


def table_of(page):
    return page.split(BEGIN)[1].split("\n\n")[0].splitlines()


def main():
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    before, rest = page.split(BEGIN)
    after = rest.split("\n\n", 1)[1]
    with tempfile.TemporaryDirectory() as folder:
        table = "\n".join(rows(folder))
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + table + "\n\n" + after)


if __name__ == "__main__":
    sys.exit(main())
