"""Looks for what only gcc, clang or POSIX have in the sources that Windows builds: tools/test lint.

Those sources are found from the *_windows.cc files and the main program: what they include, and the .cc beside each such header.
It is a look at text, without comments and strings; tools/windows/check_with_clang looks as a compiler does, and takes longer.
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# (what it is, pattern, what to do instead)
RULES = [
    ("a GNU attribute", r"__attribute__", "[[...]], which compilers that do not know it skip"),
    ("a statement expression", r"\(\{[^{}]*;", "a lambda that is called"),
    ("a 128-bit integer", r"__u?int128", "absl::uint128"),
    ("a type of POSIX", r"\b(ssize_t|off_t|pid_t|uid_t|gid_t|mode_t|useconds_t)\b", "a type of <cstdint>"),
    (
        "a header of POSIX",
        r"#include <(unistd|dlfcn|pthread|poll|sched|spawn|dirent|strings|termios|pwd|grp|sys/(?!types|stat)\w+|linux/\w+|netinet/\w+)\.h>",
        "a *_linux.cc",
    ),
    ("a built-in of gcc", r"__builtin_\w+", "the C++ library"),
    ("typeof", r"\b__?typeof(__)?\b", "decltype"),
    ("a range of cases", r"\bcase\b[^:\n]*\.\.\.", "one case for each, or if"),
    ("?: without a middle", r"\?\s*:(?!:)", "a ? a : b"),
    ("a pragma of gcc", r"#pragma (GCC|clang)\b", "a file of its own for the compiler"),
    ("inline assembly", r"\b(__asm__|asm)\s*(volatile\b|\()", "a file of its own for the compiler"),
    ("the name of a function as gcc spells it", r"__PRETTY_FUNCTION__", "__func__"),
]
# Each compiler has one of its own: bootstrap/compiler, and what is chosen by //tools/windows:msvc.
FOR_ONE_COMPILER = re.compile(r"(^bootstrap/compiler/|_itanium\.cc$)")

INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"', re.DOTALL)


def code_of(text):
    """Without comments and strings, with the same lines."""

    def blank(match):
        return '""' + "\n" * match.group(0).count("\n")

    # What a line includes is no string.
    kept = {m.start(1) - 1 for m in INCLUDE.finditer(text)}
    return TOKEN.sub(lambda m: m.group(0) if m.start() in kept else blank(m), text)


def sources(files):
    """What Windows builds of `files`, a dict from path to text."""
    queue = [p for p in files if p.endswith("_windows.cc")] + [p for p in ["cli/main.cc"] if p in files]
    found = set()
    while queue:
        path = queue.pop()
        if path in found:
            continue
        found.add(path)
        for header in INCLUDE.findall(files[path]):
            queue += [header] if header in files else []
            # Where there is one for Windows, the other is for the rest.
            if header[:-2] + "_windows.cc" not in files and header[:-2] + ".cc" in files:
                queue.append(header[:-2] + ".cc")
    return sorted(p for p in found if not FOR_ONE_COMPILER.search(p))


def problems(path, text):
    code = code_of(text)
    result = []
    for what, pattern, instead in RULES:
        for match in re.finditer(pattern, code):
            line = code.count("\n", 0, match.start()) + 1
            result.append("%s:%d: %s (%s), which Visual C++ lacks; use %s" % (path, line, what, match.group(0).strip(), instead))
    return result


def tracked():
    listed = subprocess.run(["git", "ls-files", "*.h", "*.cc"], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    files = {}
    for path in listed.stdout.split():
        if path.startswith("third_party/") or not os.path.exists(os.path.join(ROOT, path)):
            continue
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            files[path] = file.read()
    return files


def main():
    files = tracked()
    found = [line for path in sources(files) for line in problems(path, files[path])]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
