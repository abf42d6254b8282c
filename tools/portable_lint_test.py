#!/usr/bin/env python3
"""What portable_lint.py finds, and what it does not take for it."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import portable_lint  # noqa: E402


class RulesTest(unittest.TestCase):
    def found(self, code):
        return portable_lint.problems("a.cc", code)

    def test_what_visual_cpp_lacks_is_found_by_file_and_line(self):
        for code in (
            "int f() __attribute__((noreturn));",
            "int x = ({ int y = 1; y; });",
            "unsigned __int128 x;",
            "ssize_t n;",
            "#include <unistd.h>",
            "#include <sys/socket.h>",
            "int x = __builtin_ctz(4);",
            "switch (x) { case 1 ... 3: break; }",
            "int x = y ?: 3;",
            '__asm__ volatile("nop");',
        ):
            lines = self.found("\n" + code + "\n")
            self.assertEqual(len(lines), 1, code)
            self.assertTrue(lines[0].startswith("a.cc:2: "), lines[0])

    def test_what_it_has_and_what_is_only_said_is_not(self):
        for code in (
            "// no ssize_t, no __attribute__",
            'const char* x = "#include <unistd.h> ssize_t";',
            'auto x = R"(pid_t)";',
            "f({.a = 1, .b = {2}});",
            "for (const char c : {'a', 'b'}) {}",
            "#include <sys/types.h>",
            "#include <io.h>",
            "template <typename... T> void f(T...);",
            "int x = a ? ::f() : 1;",
        ):
            self.assertEqual(self.found(code), [], code)


class SourcesTest(unittest.TestCase):
    def test_those_that_windows_builds_are_followed(self):
        files = {
            "a/x_windows.cc": '#include "a/x.h"\n#include "a/y.h"\n',
            "a/x.h": '#include "b/z.h"\n',
            "a/x.cc": "",  # For the others: there is one for Windows.
            "a/x_linux.cc": '#include "c/only.h"\n',
            "a/y.h": "",
            "a/y.cc": "",
            "b/z.h": "",
            "c/only.h": "",
        }
        self.assertEqual(portable_lint.sources(files), ["a/x.h", "a/x_windows.cc", "a/y.cc", "a/y.h", "b/z.h"])

    def test_a_file_for_one_compiler_is_left_out(self):
        files = {"m_windows.cc": '#include "bootstrap/compiler/gcc.h"\n', "bootstrap/compiler/gcc.h": ""}
        self.assertEqual(portable_lint.sources(files), ["m_windows.cc"])


if __name__ == "__main__":
    unittest.main()
