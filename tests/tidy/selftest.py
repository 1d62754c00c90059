#!/usr/bin/env python3
"""Shows that tidy.py catches a violation of each of its rules, and leaves clean code alone."""
import tempfile
import unittest
from pathlib import Path

import tidy

CMAKE = """
krakend_module(core LIBS fmt)
krakend_module(io DEPENDS core)
krakend_module(p2p DEPENDS core io)
krakend_module(agent ROLE DEPENDS core p2p)
krakend_module(proxy ROLE
               DEPENDS core)
"""
HEADER = "#pragma once\n"


def long_function(head, lines):
    return head + " {\n" + "  call();\n" * (lines - 2) + "}\n"


class Tidy(unittest.TestCase):
    def findings(self, files):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "CMakeLists.txt").write_text(CMAKE)
            for name, text in files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return [(f.rule, f.path, f.line) for f in tidy.check_tree(root)]

    def assert_rule(self, rule, path, text, line=1):
        self.assertEqual(self.findings({path: text}), [(rule, path, line)])

    def assert_clean(self, path, text):
        self.assertEqual(self.findings({path: text}), [])

    def test_include_graph(self):
        self.assert_clean("src/p2p/a.cpp", '#include "krakend/io/net.h"\n#include "p2p/b.h"\n')
        self.assert_rule("includes", "src/io/a.cpp", '#include "krakend/p2p/engine.h"\n')
        self.assert_rule("includes", "include/krakend/core/a.h", HEADER + '#include "krakend/io/net.h"\n', 2)
        self.assert_rule("includes", "roles/agent/a.cpp", '\n#include "roles/proxy/proxy.h"\n', 2)
        self.assert_rule("includes", "tests/unit/core/a.cpp", '#include "krakend/io/net.h"\n')
        self.assert_rule("includes", "src/nobody/a.cpp", "\n")

    def test_private_headers(self):
        self.assert_rule("private", "src/p2p/a.cpp", '#include "io/pool.h"\n')

    def test_function_length(self):
        self.assert_clean("src/core/a.cpp", long_function("void f()", 70))
        for head in ("void f()", "Result<void> A::f(int a,\n                int b) const", "template <class T>\nauto g(T t) -> int",
                     "namespace a {\nint h() noexcept", "A::A() : b_(1), c_{2}"):
            text = long_function(head, 71) + ("}\n" if "namespace" in head else "")
            rules = [rule for rule, _, _ in self.findings({"src/core/a.cpp": text})]
            self.assertEqual(rules, ["function"], head)
        braces = 'void f() {\n  const char* s = "{{{";  // {\n  char c = \'{\';\n}\n' + long_function("void g()", 69)
        self.assert_clean("src/core/a.cpp", braces)
        self.assert_clean("src/core/a.cpp", "class A {\n" + "  int f() { return 1'000; }\n" * 80 + "};\n")

    def test_file_length(self):
        self.assert_clean("src/core/a.cpp", "int a;\n" * 600)
        self.assert_rule("file", "src/core/a.cpp", "int a;\n" * 601, 601)

    def test_pragma_once(self):
        self.assert_rule("pragma", "include/krakend/core/a.h", "int a;\n")

    def test_clock(self):
        for code in ("auto t = std::chrono::steady_clock::now();", "auto t = time(nullptr);",
                     "std::this_thread::sleep_for(x);", "clock_gettime(0, &t);"):
            self.assert_rule("clock", "src/p2p/a.cpp", code + "\n")
            self.assert_clean("src/io/a.cpp", code + "\n")
        self.assert_clean("src/p2p/a.cpp", "// time(nullptr)\nauto t = clock.now(); obj.time(0);\n")
        self.assert_rule("clock", "tests/unit/p2p/a.cpp", "std::this_thread::sleep_for(x);\n")

    def test_random(self):
        for code in ("std::random_device d;", "int a = rand();", "std::mt19937 g;"):
            self.assert_rule("random", "src/p2p/a.cpp", code + "\n")

    def test_socket(self):
        for code in ("int s = ::socket(1, 2, 3);", "#include <asio/ip/tcp.hpp>", "getaddrinfo(a, b, c, d);"):
            self.assert_rule("socket", "src/p2p/a.cpp", code + "\n")

    def test_files(self):
        for code in ("int s = ::open(p, 0);", "std::ofstream out(p);", "auto* f = fopen(p, m);", "#include <filesystem>"):
            self.assert_rule("files", "src/p2p/a.cpp", code + "\n")
        self.assert_clean("src/p2p/a.cpp", "disk->open(p); Foo::open(p);\n")

    def test_machine_paths(self):
        self.assert_rule("path", "configs/a.yaml", "a: /home/me/x\n")
        self.assert_clean("configs/a.yaml", "a: /var/lib/krakend\n")

    def test_self_contained(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "compile_commands.json").write_text('[{"command": "c++ -std=c++20"}]')
            (root / "good.h").write_text("#pragma once\n#include <string>\nstd::string a();\n")
            (root / "bad.h").write_text("#pragma once\nstd::string a();\n")
            found = list(tidy.check_headers(root, ["good.h", "bad.h"], "c++", root, 1))
            self.assertEqual([(f.rule, f.path) for f in found], [("self-contained", "bad.h")])


if __name__ == "__main__":
    unittest.main()
