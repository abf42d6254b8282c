// Programs that people run every day, as they are, under the policies that should let them.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

struct Program {
  std::string name;
  std::vector<std::string> needs;  // Of the machine, else it is skipped.
  std::string build;               // A script, run outside in the directory that is then shown inside. "": nothing.
  std::string script;              // Inside, in /tmp; $D is the directory.
  std::string out;
  bool in_strict = false;
  bool local_sockets = false;  // Names of UNIX sockets, which `networked` has none of.
};

constexpr char kHello[] = "printf '#include <stdio.h>\\nint main(void) { puts(\"hello\"); return 0; }\\n' > h.c && ";

// An exception, a thread and a stream: what a C++ program starts with.
constexpr char kHelloCxx[] =
    "printf '#include <iostream>\\n#include <stdexcept>\\n#include <thread>\\n"
    "int main() { try { throw std::runtime_error(\"hello\"); } catch (const std::exception& e) {\\n"
    "std::thread t([&] { std::cout << e.what() << std::endl; }); t.join(); } }\\n' > h.cc && ";

std::vector<Program> Programs() {
  return {
      {"CDynamic", {"/usr/bin/gcc"}, absl::StrCat(kHello, "gcc h.c -o hello"), "$D/hello", "hello\n", true},
      {"CStatic", {"/usr/bin/gcc"}, absl::StrCat(kHello, "gcc -static h.c -o hello"), "$D/hello", "hello\n", true},
      {"Cxx", {"/usr/bin/g++"}, absl::StrCat(kHelloCxx, "g++ -pthread h.cc -o hello"), "$D/hello", "hello\n", true},
      {"CxxStatic", {"/usr/bin/g++"}, absl::StrCat(kHelloCxx, "g++ -static -pthread h.cc -o hello"), "$D/hello", "hello\n", true},
      {"Python", {"/usr/bin/python3"}, "", "/usr/bin/python3 -c 'print(\"hello\")'", "hello\n", true},
      {"PythonWithThreadsAndChildren", {"/usr/bin/python3"}, "",
       "/usr/bin/python3 -c 'import subprocess, threading\n"
       "t = threading.Thread(target=lambda: print(subprocess.check_output([\"echo\", \"hello\"]).decode(), end=\"\"))\n"
       "t.start(); t.join()'",
       "hello\n", true},
      {"Shell", {"/bin/sh"}, "", "echo hello | cat && test \"$(echo a b | wc -w)\" -eq 2", "hello\n", true},
      {"Bash", {"/bin/bash"}, "", "bash -c 'for i in 2 1; do echo $i; done | sort; cat <<< hello; read x < <(echo y); echo $x'", "1\n2\nhello\ny\n", true},
      {"Perl", {"/usr/bin/perl"}, "", "perl -MPOSIX -e 'print \"hello \", floor(2.5), \"\\n\"; exit system(\"true\");'", "hello 2\n", true},
      {"Awk", {"/usr/bin/awk"}, "", "awk 'BEGIN { \"echo hello\" | getline x; print x; exit system(\"true\") }'", "hello\n", true},
      {"Gcc", {"/usr/bin/gcc"}, "", absl::StrCat(kHello, "gcc -O2 h.c -o h && ./h"), "hello\n", true},
      {"Gxx", {"/usr/bin/g++"}, "", absl::StrCat(kHelloCxx, "g++ -pthread h.cc -o h && ./h"), "hello\n", true},
      {"Make", {"/usr/bin/make"}, "", "printf 'all: a b\\na b:\\n\\t@true\\n\\t@echo made >> log\\n' > Makefile && make -s -j2 && wc -l < log", "2\n", true},
      {"Java", {"/usr/bin/java", "/usr/bin/javac"},
       "printf 'public class H { public static void main(String[] a) throws Exception {\\n"
       "Thread t = new Thread(() -> System.out.println(\"hello\")); t.start(); t.join(); } }\\n' > H.java && javac H.java",
       "java -cp $D H", "hello\n", true},
      {"StaticMusl", {"/usr/bin/musl-gcc"}, absl::StrCat(kHello, "musl-gcc -static h.c -o hello"), "$D/hello", "hello\n", true},
      {"StaticBusybox", {"/bin/busybox"}, "",
       "/bin/busybox sh -c 'echo hello | /bin/busybox sed s/h/H/ && echo a > f && /bin/busybox tar cf x f && /bin/busybox tar tf x'", "Hello\nf\n", true},
      {"StaticGo", {"/usr/bin/go"},
       "printf 'package main\\nimport \"fmt\"\\nfunc main() { c := make(chan string); go func() { c <- \"hello\" }(); fmt.Println(<-c) }\\n' > h.go && "
       "env CGO_ENABLED=0 GOCACHE=$PWD/cache go build h.go",
       "$D/h", "hello\n", true},
      {"Git", {"/usr/bin/git"}, "",
       "git init -q r && cd r && git config user.email a@b && git config user.name n && echo hello > f && git add f && "
       "git commit -qm m && git gc -q && git clone -q . ../c && cat ../c/f",
       "hello\n"},
      {"Node", {"/usr/bin/node"}, "",
       "node -e 'const { Worker } = require(\"worker_threads\"); require(\"fs\").writeFileSync(\"f\", \"hello\");"
       "require(\"child_process\").execFile(\"cat\", [\"f\"], (e, o) => { console.log(o); new Worker(\"console.log(1)\", { eval: true }); })'",
       "hello\n1\n"},
      {"PythonMultiprocessing", {"/usr/bin/python3"}, "",
       "/usr/bin/python3 -c 'import asyncio, multiprocessing, sqlite3\n"
       "async def child(): return (await (await asyncio.create_subprocess_exec(\"echo\", \"hello\", stdout=-1)).communicate())[0]\n"
       "with multiprocessing.Pool(2) as pool: print(sum(pool.map(abs, [-1, 2])))\n"
       "print(asyncio.run(child()).decode(), end=\"\")\n"
       "sqlite3.connect(\"f\").execute(\"create table t (a)\")'",
       "3\nhello\n"},
      {"Gpg", {"/usr/bin/gpg"}, "",
       "gpg --batch -q --passphrase x --quick-gen-key a@b 2> log && echo hello | gpg -q --batch --passphrase x -c 2>> log | gpg -q --batch --passphrase x -d 2>> log",
       "hello\n", false, true},
      {"Archives", {"/bin/tar", "/bin/gzip", "/usr/bin/xz"}, "",
       "mkdir d && echo hello > d/f && tar czf a.tgz d && tar cJf a.txz d && rm -r d && tar xzf a.tgz && cat d/f && tar tJf a.txz | wc -l", "hello\n2\n", true},
      {"LimitsOfAShell", {"/bin/sh"}, "", "ulimit -c 0 && ulimit -n 100 && ulimit -n", "100\n", true},
  };
}

struct Case {
  Program program;
  std::string policy;
};

void PrintTo(const Case& one, std::ostream* out) { *out << one.program.name << " under " << one.policy; }

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const Program& program : Programs()) {
    if (program.in_strict) cases.push_back({program, "strict"});
    cases.push_back({program, "default"});
    if (!program.local_sockets) cases.push_back({program, "networked"});
  }
  return cases;
}

class ProgramsTest : public testing::TestWithParam<Case> {};

TEST_P(ProgramsTest, RunAsTheyAre) {
  const auto& [program, policy] = GetParam();
  for (const std::string& path : program.needs) {
    if (access(path.c_str(), X_OK) != 0) GTEST_SKIP() << "there is no " << path << " here";
  }
  TemporaryDirectory directory;
  if (!program.build.empty()) {
    const PlainRun built = RunPlain({"sh", "-c", absl::StrCat("cd ", directory.path(), " && ", program.build)});
    ASSERT_EQ(built.code, 0) << built.out << built.err;
  }
  const PlainRun run = Brood({"run", "--policy", policy, "--ro", directory.path(), "--cwd", "/tmp", "--env", absl::StrCat("D=", directory.path()),
                              "--", "sh", "-c", program.script});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.out, program.out) << run.err;
}

INSTANTIATE_TEST_SUITE_P(Everyday, ProgramsTest, testing::ValuesIn(Cases()),
                         [](const auto& param) { return param.param.program.name + "_" + param.param.policy; });

}  // namespace
}  // namespace brood
