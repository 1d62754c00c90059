#!/usr/bin/env python3
"""Checks the rules of the house that no compiler checks.

usage: tidy.py [--root DIR] [--compiler CXX] [--build DIR]

Rules (each has a name, and selftest.py shows that each one bites):
  includes       a module includes only itself and what stands in its DEPENDS (krakend_module lines of CMakeLists.txt)
  private        another module's private header (src/<module>/x.h) is nobody else's
  function       a function has at most 70 lines
  file           a file has at most 600 lines
  pragma         a header starts with #pragma once
  clock, random, socket, files
                 the operating system is reached through src/io (and the C library calls named in ALLOWED)
  path           no path of somebody's machine
  self-contained every header compiles on its own (needs --build, for the flags of the outside libraries)
"""
import argparse
import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

MAX_FUNCTION = 70
MAX_FILE = 600
SOURCE_SUFFIXES = {".h", ".cpp"}
CODE_FOLDERS = ("include", "src", "roles", "tests/unit", "tests/support", "tests/sim", "tests/fuzz", "tests/bench")
TEXT_FOLDERS = CODE_FOLDERS + ("cmake", "configs", "packaging", "tests", "docs", ".ci")
TEXT_SUFFIXES = SOURCE_SUFFIXES | {".py", ".md", ".txt", ".cmake", ".yaml", ".sh", ".json", ".service", ".html", ""}

# What reaches past the seams of io, by rule.
FORBIDDEN = {
    "clock": [r"\b(?:system|steady|high_resolution|utc)_clock\s*::\s*now\b", r"\bclock_gettime\s*\(",
              r"\bgettimeofday\s*\(", r"(?<![\w.>:])(?:std::)?time\s*\(\s*(?:nullptr|NULL|0|&)",
              r"\bsleep_for\b", r"\bsleep_until\b", r"(?<![\w.>:])(?:::)?(?:u|nano)sleep\s*\("],
    "random": [r"\bstd::random_device\b", r"\bstd::mt19937\b", r"(?<![\w.>])(?:std::|::)s?rand\s*\(",
               r"(?<![\w.>:])s?rand\s*\(", r"\barc4random", r"\bgetrandom\s*\(", r"\bRAND_bytes\s*\("],
    "socket": [r"(?<![\w>)])::(?:socket|connect|bind|listen|accept4?|send|recv|sendto|recvfrom|sendfile)\s*\(",
               r"\bgetaddrinfo\s*\(", r"#include\s*<asio", r"\basio::ip::"],
    "files": [r"(?<![\w>)])::(?:open|openat|write|pwrite|rename|unlink|mkdir|rmdir|link|fsync)\s*\(", r"\bfopen\s*\(",
              r"\bstd::(?:o|i)?fstream\b", r"\bstd::filesystem\b", r"#include\s*<(?:filesystem|fstream)>"],
}
# Where a rule does not hold, and why.
ALLOWED = {
    "clock": ["src/io/", "src/core/log.cpp",  # a log line's time
              "src/http/client",              # the blocking client's deadlines run on its own threads
              "tests/support/"],              # the real loop of the tests has a real limit
    "random": ["src/io/"],
    "socket": ["src/io/", "include/krakend/io/", "src/http/"],  # the adapter of the HTTP library
    "files": ["src/io/", "src/core/log.cpp"],
}
# Tests may build what they test against with their own hands, but still not wait for the wall clock.
TEST_FREE = {"random", "files", "socket"}
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|home|root|Users|tmp/b-)[/\w.-]*")
PATH_FREE = ("tests/tidy/",)


class Finding:
    def __init__(self, rule, path, line, text):
        self.rule, self.path, self.line, self.text = rule, path, line, text

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


def blank_comments(text):
    """The same text with comments, strings and character literals blanked; lines stay where they are."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(?P<d>[^()\\\s]{0,16})\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
        re.S)

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    return pattern.sub(blank, text)


def read_graph(cmake_text):
    graph, roles = {}, set()
    for match in re.finditer(r"krakend_module\(([^)]*)\)", cmake_text):
        words = match.group(1).split()
        name, rest = words[0], words[1:]
        if "ROLE" in rest:
            roles.add(name)
        depends = []
        taking = False
        for word in rest:
            if word in ("ROLE", "DEPENDS", "LIBS"):
                taking = word == "DEPENDS"
            elif taking:
                depends.append(word)
        graph[name] = set(depends)
    return graph, roles


def module_of(path):
    parts = Path(path).parts
    if parts[:2] == ("include", "krakend") and len(parts) > 3:
        return parts[2]
    if parts[0] in ("src", "roles") and len(parts) > 2:
        return parts[1]
    if parts[:2] == ("tests", "unit") and len(parts) > 3:
        return parts[2]
    return None


def check_includes(path, text, graph, roles):
    module = module_of(path)
    if module is None or module not in graph:
        if path.startswith(("src/", "include/", "roles/")) and path != "src/main.cpp":
            yield Finding("includes", path, 1, "belongs to no krakend_module")
        return
    allowed = graph[module] | {module}
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
        if not match:
            continue
        target = match.group(1)
        parts = target.split("/")
        if parts[0] == "krakend":
            other = parts[1]
        elif parts[0] == "roles":
            other = parts[1]
            if other != module and parts[2] != other + ".h":
                yield Finding("private", path, number, f"{target} is private to {other}")
        elif parts[0] in graph and len(parts) > 1:
            other = parts[0]
            if other != module:
                yield Finding("private", path, number, f"{target} is private to {other}")
                continue
        else:
            continue  # beside the file, or tests/support
        if other not in allowed:
            yield Finding("includes", path, number,
                          f"{module} may not include {other}; its DEPENDS: {', '.join(sorted(graph[module])) or 'none'}")


CONTROL = re.compile(r"\b(?:if|for|while|switch|catch|else|do|try)\b[^;{}]*$")
SCOPE = re.compile(r"\b(?:namespace|class|struct|union|enum|extern)\b[^;{}()]*$")


def function_lengths(code):
    """(first line, lines) of every outermost function body in blanked code, lambdas included in their function."""
    stack = []
    head_begin = 0
    line = 1
    for at, char in enumerate(code):
        if char == "\n":
            line += 1
        elif char == ";" and not any(kind == "function" for kind, _ in stack):
            head_begin = at + 1
        elif char == "{":
            head = code[head_begin:at]
            inside = any(kind == "function" for kind, _ in stack)
            initializer = at > 0 and not code[at - 1].isspace()  # "member_{2}": the formatter sees to the blank
            if inside or initializer:
                stack.append(("block" if inside else "initializer", line))
            elif SCOPE.search(re.sub(r"\btemplate\s*<[^{}]*?>", "", head)) and not head.rstrip().endswith(")"):
                stack.append(("scope", line))
                head_begin = at + 1
            elif ")" in head and not CONTROL.search(head) and not re.search(r"=\s*$", head):
                first = line - code[head_begin + len(head) - len(head.lstrip()):at].count("\n")
                stack.append(("function", first))
            else:
                stack.append(("block", line))
        elif char == "}" and stack:
            kind, first = stack.pop()
            if kind == "function":
                yield first, line - first + 1
            if kind != "initializer" and not any(k == "function" for k, _ in stack):
                head_begin = at + 1


def check_sizes(path, text, code):
    lines = text.count("\n") + (not text.endswith("\n"))
    if lines > MAX_FILE:
        yield Finding("file", path, lines, f"{lines} lines, at most {MAX_FILE}")
    for first, length in function_lengths(re.sub(r"^[ \t]*#[^\n]*", "", code, flags=re.M)):
        if length > MAX_FUNCTION:
            yield Finding("function", path, first, f"function of {length} lines, at most {MAX_FUNCTION}")
    if path.endswith(".h") and not re.match(r"(?:\s|//[^\n]*\n)*#pragma once\b", text):
        yield Finding("pragma", path, 1, "a header starts with #pragma once")


def check_forbidden(path, code):
    for rule, patterns in FORBIDDEN.items():
        if any(path.startswith(prefix) for prefix in ALLOWED[rule]):
            continue
        if path.startswith("tests/") and rule in TEST_FREE:
            continue
        for pattern in patterns:
            for match in re.finditer(pattern, code):
                number = code.count("\n", 0, match.start()) + 1
                yield Finding(rule, path, number, f"{match.group(0).strip()} belongs into src/io")


def check_paths(path, text):
    if path.startswith(PATH_FREE):
        return
    for number, line in enumerate(text.splitlines(), 1):
        match = MACHINE_PATH.search(line)
        if match and not line.startswith("#!"):
            yield Finding("path", path, number, f"{match.group(0)} is a path of one machine")


def list_files(root, folders, suffixes):
    for folder in folders:
        base = root / folder
        for directory, names, files in os.walk(base):
            names[:] = sorted(n for n in names if n not in ("__pycache__", "data"))
            for name in sorted(files):
                if Path(name).suffix in suffixes:
                    yield (Path(directory) / name).relative_to(root).as_posix()
    if folders is TEXT_FOLDERS:
        for name in ("CMakeLists.txt", "Makefile", "README.md", "Dockerfile"):
            if (root / name).is_file():
                yield name


def compile_flags(build):
    """Include paths and defines of all targets: enough for every header."""
    flags = []
    for entry in json.loads((build / "compile_commands.json").read_text()):
        words = shlex.split(entry["command"])
        take = False
        for word in words:
            if take or re.match(r"-[DI].|-isystem.|-std=", word):
                flags.append(word)
                take = False
            elif word in ("-isystem", "-I", "-D"):
                flags.append(word)
                take = True
    kept, seen = [], set()
    index = 0
    while index < len(flags):  # "-isystem DIR" stays a pair
        item = tuple(flags[index:index + 2]) if flags[index] in ("-isystem", "-I", "-D") else (flags[index],)
        index += len(item)
        if item not in seen:
            seen.add(item)
            kept.extend(item)
    return [flag for flag in kept if not flag.startswith(("-DKRAKEND_TEST_DATA", "-DKRAKEND_SOURCE_DIR"))]


def check_headers(root, headers, compiler, build, jobs):
    flags = compile_flags(build) + [f"-I{root}/tests"]
    scratch = build / "tidy"
    scratch.mkdir(exist_ok=True)
    launcher = [shutil.which("ccache")] if shutil.which("ccache") else []

    def compile_one(header):
        unit = scratch / (header.replace("/", "_") + ".cpp")
        line = f'#include "{root / header}"\n'
        if not unit.is_file() or unit.read_text() != line:
            unit.write_text(line)
        run = subprocess.run([*launcher, compiler, *flags, "-O0", "-c", str(unit), "-o", f"{unit}.o"],
                             capture_output=True, text=True)
        if run.returncode != 0:
            first = next((error for error in run.stderr.splitlines() if "error" in error), run.stderr[:200])
            return Finding("self-contained", header, 1, first.strip())
        return None

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for finding in pool.map(compile_one, headers):
            if finding:
                yield finding


def check_tree(root, compiler=None, build=None, jobs=2):
    """All findings of a tree; headers are compiled only when a build folder is given."""
    root = Path(root)
    graph, roles = read_graph((root / "CMakeLists.txt").read_text())
    findings = []
    headers = []
    for path in list_files(root, CODE_FOLDERS, SOURCE_SUFFIXES):
        text = (root / path).read_text()
        code = blank_comments(text)
        if path.endswith(".h"):
            headers.append(path)
        findings += check_includes(path, text, graph, roles)
        findings += check_sizes(path, text, code)
        if path.startswith(("src/", "include/", "roles/", "tests/")):
            findings += check_forbidden(path, code)
    for path in dict.fromkeys(list_files(root, TEXT_FOLDERS, TEXT_SUFFIXES)):
        try:
            findings += check_paths(path, (root / path).read_text())
        except UnicodeDecodeError:
            pass  # not text
    if build:
        findings += check_headers(root, headers, compiler, Path(build), jobs)
    return findings


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=Path(__file__).resolve().parents[2], type=Path)
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--build", type=Path)
    arguments = parser.parse_args()
    findings = check_tree(arguments.root, arguments.compiler, arguments.build, os.cpu_count() or 2)
    for finding in findings:
        print(finding)
    print(f"tidy: {len(findings)} finding{'' if len(findings) == 1 else 's'}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
