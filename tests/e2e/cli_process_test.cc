// `brood run` with attributes of processes.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"
#include "tests/e2e/layers.h"

namespace brood {
namespace {

class ProcessAttributesTest : public LayersTest {
 protected:
  PlainRun Script(std::vector<std::string> options, const std::string& script) {
    std::vector<std::string> args = {"run", "--policy", GetParam()};
    args.insert(args.end(), options.begin(), options.end());
    args.insert(args.end(), {"--", "sh", "-c", script});
    return Brood(args);
  }
};
INSTANTIATE_TEST_SUITE_P(Policies, ProcessAttributesTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

constexpr char kShow[] = "sh -c 'nice; umask; cat /proc/self/oom_score_adj /proc/self/personality'";

TEST_P(ProcessAttributesTest, EachProcessHasThem) {
  const PlainRun run = Script({"--nice", "13", "--umask", "027", "--oom-score-adj", "777", "--personality", "addr_no_randomize,uname26"}, kShow);
  EXPECT_EQ(run.out, "13\n0027\n777\n00060000\n") << run.err;
}

TEST_P(ProcessAttributesTest, WhatTheCallerLacksForASetUpIsNamedWithTheRemedy) {
  const std::vector<std::string> run = {BroodPath(), "run", "--policy", GetParam(), "--", "echo", "ran"};
  const auto under = [&](std::vector<std::string> words) {
    words.insert(words.end(), run.begin(), run.end());
    const PlainRun refused = RunPlain(words);
    EXPECT_EQ(refused.code, 125) << words[1];
    return refused.err;
  };
  EXPECT_TRUE(absl::StrContains(under({"prlimit", "--nofile=9"}), "ulimit -n"));
  // What is told to a file would be a file too large.
  const PlainRun no_file = RunPlain({"sh", "-c", absl::StrCat("prlimit --fsize=0 '", BroodPath(), "' run --policy ", GetParam(), " -- echo ran 2>&1 | cat")});
  EXPECT_TRUE(absl::StrContains(no_file.out, "ulimit -f")) << no_file.out;
  EXPECT_TRUE(!IsRoot() || absl::StrContains(under({"setpriv", "--bounding-set", "-setfcap,-setuid"}), "--cap-add SETFCAP"));
}

// Of the caller's, by which a guardian and an init would end before they could say anything.
TEST_P(ProcessAttributesTest, AStackWithoutRoomForAStartIsToldAndOneWithRoomDoes) {
  for (int kilobytes = 48; kilobytes <= 256; kilobytes += 8) {
    const PlainRun run = RunPlain({"prlimit", absl::StrCat("--stack=", kilobytes * 1024), BroodPath(), "run", "--policy", GetParam(), "--", "echo", "ran"});
    const bool told = run.code == 125 && absl::StrContains(run.err, absl::StrCat("stack: its limit of ", kilobytes * 1024, " bytes")) && absl::StrContains(run.err, "ulimit -s");
    EXPECT_TRUE(told || run.out == "ran\n") << kilobytes << ": " << run.code << run.out << run.err;
    EXPECT_TRUE(kilobytes < 160 || run.out == "ran\n") << kilobytes << run.err;
  }
}

TEST_P(ProcessAttributesTest, AFileSaysThemTooAndTheNearerCounts) {
  const std::vector<std::string> options = With(
      "\"process\": {\"nice\": 11, \"umask\": \"0077\", \"oom_score_adj\": 888, \"personality\": [\"addr_no_randomize\"]}", {"--nice", "17"});
  std::vector<std::string> args = {"run"};
  args.insert(args.end(), options.begin(), options.end());
  args.insert(args.end(), {"--", "sh", "-c", kShow});
  const PlainRun run = Brood(args);
  EXPECT_EQ(run.out, "17\n0077\n888\n00040000\n") << run.err;
  const PlainRun explained = Brood({"policy", "explain", options[3]});
  EXPECT_TRUE(absl::StrContains(explained.out, "  each process: nice 11, oom_score_adj 888, umask 0077, personality addr_no_randomize\n")) << explained.out;
}

TEST_P(ProcessAttributesTest, WhatTheProgramLeavesHasTheModesOfTheUmask) {
  const PlainRun run = Script({"--umask", "0137"}, "touch /tmp/file && stat -c %a /tmp/file");
  EXPECT_EQ(run.out, "640\n") << run.err;
}

// Whoever the caller is: no right to it gets inside.
TEST_P(ProcessAttributesTest, AHigherPriorityIsAnErrorThatNamesTheRemedy) {
  const PlainRun run = Script({"--nice", "-1"}, "echo ran");
  EXPECT_EQ(run.code, 125);
  EXPECT_EQ(run.out, "");
  EXPECT_TRUE(absl::StrContains(run.err, "attributes")) << run.err;
  EXPECT_TRUE(absl::StrContains(run.err, "nice: lower than the caller's, to which no child has a right: start brood itself with it")) << run.err;
  const PlainRun spared = Script({"--oom-score-adj", "-1000"}, "echo ran");
  EXPECT_EQ(spared.code, 125);
  EXPECT_EQ(spared.out, "");
  EXPECT_TRUE(absl::StrContains(spared.err, "oom_score_adj: lower than the caller's")) << spared.err;
}

TEST_P(ProcessAttributesTest, NeitherIsTakenBackFromInside) {
  const PlainRun run = Script({"--nice", "5", "--oom-score-adj", "600"},
                              "(echo 0 >/proc/self/oom_score_adj) 2>/dev/null; renice -n 0 $$ >/dev/null 2>&1; cat /proc/self/oom_score_adj; nice");
  EXPECT_EQ(run.out, "600\n5\n") << run.err;
}

// Memory that is both from the start stands for what becomes executable later: the kernel has one rule for both. PR_SET_MDWE(2const)
TEST_P(ProcessAttributesTest, NoMemoryThatIsWritableIsExecutable) {
  const std::vector<std::string> maps = {"makes_call", absl::StrCat(SYS_mmap), "0", "4096", absl::StrCat(PROT_READ | PROT_WRITE | PROT_EXEC),
                                         absl::StrCat(MAP_PRIVATE | MAP_ANONYMOUS), "-1", "0"};
  int64_t address = 0;
  ASSERT_TRUE(absl::SimpleAtoi(Brood(RunArgs({"--policy", GetParam()}, maps)).out, &address));
  EXPECT_GT(address, 0);
  const PlainRun run = Brood(RunArgs({"--policy", GetParam(), "--deny-write-execute"}, maps));
  if (absl::StrContains(run.err, "it takes Linux 6.3")) GTEST_SKIP() << run.err;
  EXPECT_EQ(run.out, absl::StrCat(-EACCES, "\n")) << run.err;
  // What it starts has it too.
  EXPECT_EQ(Script({"--deny-write-execute", "--ro", ProgramPath("makes_call") + ":/makes_call"},
                   absl::StrCat("sh -c '/makes_call ", maps[1], " 0 4096 ", maps[4], " ", maps[5], " -1 0'")).out,
            absl::StrCat(-EACCES, "\n"));
}

TEST_P(ProcessAttributesTest, TheTimeStampCounterIsOffForGood) {
  EXPECT_EQ(RunCode({"--policy", GetParam()}, {"reads_tsc"}), 0);
  const PlainRun run = Brood(RunArgs({"--policy", GetParam(), "--disable-tsc"}, {"reads_tsc"}));
  if (absl::StrContains(run.err, "it is there for x86-64")) GTEST_SKIP() << run.err;
  EXPECT_EQ(run.code, 128 + SIGSEGV) << run.err;
  const PlainRun on = Brood(RunArgs({"--policy", GetParam(), "--disable-tsc"}, {"makes_call", absl::StrCat(SYS_prctl), absl::StrCat(PR_SET_TSC), absl::StrCat(PR_TSC_ENABLE)}));
  EXPECT_EQ(on.out, absl::StrCat(-EPERM, "\n")) << on.err;
}

TEST_P(ProcessAttributesTest, BadOnesAreNamed) {
  struct Case {
    std::vector<std::string> options;
    std::string problem;
  };
  const Case cases[] = {
      {{"--nice", "20"}, "--nice: expected a number from -20 to 19, got \"20\""},
      {{"--oom-score-adj", "much"}, "--oom-score-adj: expected a number from -1000 to 1000, got \"much\""},
      {{"--umask", "8"}, "--umask: expected an octal number from 0 to 777, got \"8\""},
      {{"--umask", "1000"}, "--umask: expected an octal number from 0 to 777, got \"1000\""},
      {{"--personality", "addr_no_randomise"}, "--personality: unknown flag \"addr_no_randomise\"; there are addr_compat_layout, addr_no_randomize, uname26"},
  };
  for (const Case& one : cases) {
    const PlainRun run = Script(one.options, "echo ran");
    EXPECT_EQ(run.code, 125);
    EXPECT_EQ(run.out, "");
    EXPECT_TRUE(absl::StrContains(run.err, one.problem)) << run.err;
  }
  const PlainRun file = Run("\n\"process\": {\"nice\": 5,\n\"umask\": \"9\"}", {"does_nothing"});
  EXPECT_TRUE(absl::StrContains(file.err, "/policy.json:2: field \"process\": umask: expected an octal number")) << file.err;
  const PlainRun unknown = Run("\"process\": {\"colour\": 5}", {"does_nothing"});
  EXPECT_TRUE(absl::StrContains(unknown.err, "process.colour")) << unknown.err;
}

TEST(ProcessAttributesWithoutASandboxTest, AreThereToo) {
  const PlainRun run = Brood({"run", "--policy", "none", "--nice", "13", "--umask", "027", "--oom-score-adj", "777", "--", "sh", "-c", "nice; umask; cat /proc/self/oom_score_adj"});
  EXPECT_EQ(run.out, "13\n0027\n777\n") << run.err;
  const PlainRun tsc = Brood({"run", "--policy", "none", "--disable-tsc", "--", "true"});
  EXPECT_EQ(tsc.code, 125);
  EXPECT_TRUE(absl::StrContains(tsc.err, "disable_tsc: needs filter_syscalls, or the program turns it on again")) << tsc.err;
}

}  // namespace
}  // namespace brood
