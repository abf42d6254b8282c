#include "cli/demo_jobs.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/demo_files.h"

namespace brood {
namespace {

// One way to work on a file.
struct Kind {
  std::string name;
  size_t share;                       // Of 100 jobs.
  std::vector<std::string> programs;  // Needed.
  std::string script;                 // For sh, with the file as $1.
  std::vector<std::string> files;
};

// A program worth compiling: its output depends on every step of it.
constexpr std::string_view kCompile = R"(set -e
work=$(mktemp -d /tmp/demo.XXXXXX)
trap 'rm -rf "$work"' EXIT
cat > "$work/collatz.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char** argv) {
  unsigned long longest = 0, start = 0, limit = argc > 1 ? strtoul(argv[1], NULL, 10) : 10;
  for (unsigned long i = 1; i < limit; ++i) {
    unsigned long n = i, steps = 0;
    for (; n != 1; ++steps) n = n % 2 ? 3 * n + 1 : n / 2;
    if (steps > longest) { longest = steps; start = i; }
  }
  printf("below %lu: %lu takes %lu steps\n", limit, start, longest);
  return 0;
}
END
gcc -Wall -Werror -O1 -o "$work/collatz" "$work/collatz.c"
"$work/collatz" "$1")";

constexpr std::string_view kParsePython =
    "import ast, sys; print(len(ast.dump(ast.parse(open(sys.argv[1], 'rb').read()))))";

// As grep decides it: no zero byte near the beginning.
bool IsText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, 512> start;
  file.read(start.data(), start.size());
  return file.gcount() > 0 &&
         std::find(start.begin(), start.begin() + file.gcount(), '\0') == start.begin() + file.gcount();
}

std::vector<Kind> Kinds() {
  const std::vector<std::string> gz =
      FindFiles({.roots = {"/usr/share/doc", "/usr/share/man", "/usr/share/info"},
                 .suffixes = {".gz"},
                 .accept = [](const std::string& path) { return BeginsWith(path, "\x1f\x8b"); }});
  const std::vector<std::string> json =
      FindFiles({.roots = {"/usr/share", "/usr/lib"}, .suffixes = {".json"}, .max_bytes = uint64_t{128} << 10});
  const std::vector<std::string> python =
      FindFiles({.roots = {"/usr/lib/python3", "/usr/lib/python3.9", "/usr/lib/python3.10", "/usr/lib/python3.11",
                           "/usr/lib/python3.12", "/usr/lib/python3.13"},
                 .suffixes = {".py"},
                 .min_bytes = 256,
                 .max_bytes = uint64_t{48} << 10});
  const std::vector<std::string> elf =
      FindFiles({.roots = {"/usr/bin", "/usr/sbin"}, .accept = [](const std::string& path) {
                   return BeginsWith(path,
                                     "\x7f"
                                     "ELF");
                 }});
  const std::vector<std::string> text =
      FindFiles({.roots = {"/usr/share/common-licenses", "/usr/share/doc", "/usr/share/perl", "/usr/share/perl5"},
                 .min_bytes = 512,
                 .accept = IsText});
  const std::vector<std::string> shared =
      FindFiles({.roots = {"/usr/share/misc", "/usr/share/zoneinfo", "/usr/share/keyrings", "/usr/share/i18n",
                           "/usr/share/consolefonts", "/usr/lib/locale"},
                 .max_bytes = uint64_t{1} << 20});
  const std::vector<std::string> xz =
      FindFiles({.roots = {"/usr/share", "/usr/lib"}, .suffixes = {".xz"}, .max_bytes = uint64_t{4} << 20});

  std::vector<std::string> limits;
  for (int limit = 1000; limit <= 64000; limit *= 2) limits.push_back(absl::StrCat(limit));

  return {
      {"gzip -t", 20, {"gzip"}, "gzip -tv \"$1\"", gz},
      {"gzip -dc | sha256sum", 20, {"gzip", "sha256sum"}, "gzip -dc \"$1\" | sha256sum", gz},
      {"python3 -m json.tool", 8, {"python3"}, "exec /usr/bin/python3 -I -m json.tool \"$1\"", json},
      {"python3, parse a module",
       8,
       {"python3"},
       absl::StrCat("exec /usr/bin/python3 -I -c \"", kParsePython, "\" \"$1\""),
       python},
      {"file", 8, {"file"}, "exec file \"$1\"", shared},
      {"readelf", 6, {"readelf"}, "exec readelf --wide --file-header --dynamic \"$1\"", elf},
      {"nm | sort", 6, {"nm", "sort"}, "nm -D --defined-only \"$1\" | sort", elf},
      {"count words",
       10,
       {"tr", "sort", "uniq"},
       "tr -cs A-Za-z '\\n' <\"$1\" | sort | uniq -c | sort -k1,1nr -k2 | head -n 100",
       text},
      {"xz, back and forth", 8, {"xz", "sha256sum"}, "xz -1 -c \"$1\" | xz -dc | sha256sum", text},
      {"xz -t", 2, {"xz"}, "exec xz -t \"$1\"", xz},
      {"tar, back and forth", 2, {"tar"}, "tar -cf - -C / \".$1\" | tar -tvf - | awk '{print $3, $6}'", elf},
      {"gcc, then run it", 2, {"gcc"}, std::string(kCompile), limits},
  };
}

}  // namespace

HonestJobs FindHonestJobs(size_t wanted) {
  HonestJobs found;
  std::vector<Kind> kinds = Kinds();
  std::vector<size_t> counts(kinds.size(), 0);
  size_t total = 0;
  for (size_t i = 0; i < kinds.size(); ++i) {
    Kind& kind = kinds[i];
    std::vector<std::string> missing;
    for (const std::string& program : kind.programs) {
      if (FindProgram(program).empty()) missing.push_back(program);
    }
    if (!missing.empty()) {
      found.notes.push_back(
          absl::StrCat(kind.name, ": left out, there is no ", absl::StrJoin(missing, ", "), " in /usr/bin"));
      kind.files.clear();
    } else if (kind.files.empty()) {
      found.notes.push_back(absl::StrCat(kind.name, ": left out, there are no such files"));
    }
    counts[i] = std::min(kind.files.size(), std::max<size_t>(1, wanted * kind.share / 100));
    total += counts[i];
  }
  // What some kinds lack, the others give, in turns.
  for (bool given = true; given && total < wanted;) {
    given = false;
    for (size_t i = 0; i < kinds.size() && total < wanted; ++i) {
      if (counts[i] == kinds[i].files.size()) continue;
      ++counts[i];
      ++total;
      given = true;
    }
  }
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (counts[i] == 0) continue;
    for (const std::string& file : Spread(kinds[i].files, counts[i])) {
      found.jobs.push_back({.id = absl::StrCat(kinds[i].name, " ", file),
                            .argv = {"sh", "-c", kinds[i].script, "sh", file},
                            .env = {"LC_ALL=C"},
                            .cwd = "/"});
    }
    found.kinds.push_back({.name = kinds[i].name, .jobs = counts[i]});
  }
  return found;
}

}  // namespace brood
