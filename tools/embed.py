"""Writes a header and a source with the bytes of files; see embed.bzl."""

import sys

header, source, include, namespace, *pairs = sys.argv[1:]
with open(header, "w") as h, open(source, "w") as c:
    h.write(f"#pragma once\n\n#include <string_view>\n\nnamespace {namespace} {{\n\n")
    c.write(f'#include "{include}"\n\nnamespace {namespace} {{\n')
    for symbol, path in zip(pairs[::2], pairs[1::2]):
        data = open(path, "rb").read()
        h.write(f"std::string_view {symbol}();\n")
        c.write(f"\nstd::string_view {symbol}() {{\n  alignas(16) static const char kBytes[] =\n")
        for at in range(0, len(data), 24):
            # Octal escapes are always three digits, so that a following digit is not taken for a part of them.
            c.write('      "' + "".join(f"\\{byte:03o}" for byte in data[at : at + 24]) + '"\n')
        c.write(f'      "";\n  return std::string_view(kBytes, {len(data)});\n}}\n')
    h.write(f"\n}}  // namespace {namespace}\n")
    c.write(f"\n}}  // namespace {namespace}\n")
