// `brood run` with a /proc whose processes can be written to.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"
#include "tests/e2e/layers.h"

namespace brood {
namespace {

class ProcTest : public LayersTest {
 protected:
  PlainRun Script(const std::vector<std::string>& options, const std::string& script) {
    std::vector<std::string> args = {"run"};
    args.insert(args.end(), options.begin(), options.end());
    args.insert(args.end(), {"--", "sh", "-c", script});
    return Brood(args);
  }
};
INSTANTIATE_TEST_SUITE_P(Policies, ProcTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

constexpr char kName[] = "printf another >/proc/$$/comm; cat /proc/$$/comm";

TEST_P(ProcTest, ItsProcessesAreWrittenToWhereThePolicySaysSoAlone) {
  const PlainRun without = Script({"--policy", GetParam()}, kName);
  EXPECT_EQ(without.out, "sh\n");
  EXPECT_TRUE(absl::StrContains(without.err, "Read-only file system")) << without.err;
  EXPECT_EQ(Script({"--policy", GetParam(), "--proc-rw"}, kName).out, "another\n");
  EXPECT_EQ(Script(With("\"proc\": \"rw\""), kName).out, "another\n");
  EXPECT_EQ(Script(With("\"proc\": \"ro\""), kName).out, "sh\n");
}

// Whoever asks is id 0 of its namespaces, to which some settings of theirs belong: not by permissions, by the mount.
TEST_P(ProcTest, NothingOfTheMachinesIsWrittenTo) {
  const std::vector<std::string> options = With("\"proc\": \"rw\", \"ids\": {\"uid\": 0, \"gid\": 0}");
  // The names of the caller's keys are hidden by /dev/null, which can be written to.
  const PlainRun looked = Script(options, "find /proc -path '/proc/[0-9]*' -prune -o -path /proc/keys -prune -o ! -type l -writable -print");
  EXPECT_EQ(looked.out, "") << looked.err;
  // The same look finds what there is for processes.
  EXPECT_NE(Script(options, "find /proc/$$/comm -writable").out, "");
  for (const char* file : {"/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/user/max_user_namespaces", "/proc/sysrq-trigger"}) {
    const PlainRun run = Script(options, absl::StrCat("echo 1 >", file, " && echo written"));
    EXPECT_EQ(run.out, "") << file;
    // Of `strict` nothing of that is there at all, and of /proc/sysrq-trigger on every machine.
    EXPECT_TRUE(absl::StrContains(run.err, "Read-only file system") || absl::StrContains(run.err, "Directory nonexistent")) << run.err;
  }
}

TEST_P(ProcTest, NothingOfOthersIsSeenInItEither) {
  EXPECT_EQ(Script({"--policy", GetParam(), "--proc-rw"}, "cat /proc/1/comm; echo /proc/[0-9]*; echo x >/proc/1/comm && echo written").out, "brood-init\n/proc/1 /proc/2\n");
}

constexpr char kNamespaces[] =
    "\"landlock\": \"none\", \"syscalls\": [{\"names\": [\"clone\", \"unshare\", \"setns\", \"mount\", \"umount2\", \"pivot_root\"], \"action\": \"allow\"}]";

TEST_P(ProcTest, AProgramMakesAUserNamespaceOfItsOwn) {
  const std::vector<std::string> nested = {"--", "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "id -u; mount -t tmpfs none /tmp && mountpoint /tmp"};
  const auto run = [&](const std::string& fields) {
    std::vector<std::string> args = {"run"};
    for (const std::string& option : With(fields)) args.push_back(option);
    args.insert(args.end(), nested.begin(), nested.end());
    return Brood(args);
  };
  const PlainRun with = run(absl::StrCat("\"proc\": \"rw\", ", kNamespaces));
  EXPECT_EQ(with.out, "0\n/tmp is a mountpoint\n") << with.err;
  const PlainRun without = run(kNamespaces);
  EXPECT_EQ(without.out, "");
  EXPECT_TRUE(absl::StrContains(without.err, "Read-only file system")) << without.err;
}

// It reads /proc/sys, of which `strict` has nothing.
class NestedTest : public ProcTest {};
INSTANTIATE_TEST_SUITE_P(Policies, NestedTest, testing::Values("default"), [](const auto& param) { return param.param; });

TEST_P(NestedTest, BubblewrapRunsWhereProcCanBeWritten) {
  const auto run = [&](const std::string& fields) {
    std::vector<std::string> args = {"run"};
    for (const std::string& option : With(fields)) args.push_back(option);
    args.insert(args.end(), {"--", "bwrap", "--unshare-user", "--uid", "7", "--ro-bind", "/", "/", "--tmpfs", "/tmp", "sh", "-c", "id -u; touch /tmp/file && ls /tmp"});
    return Brood(args);
  };
  const PlainRun with = run(absl::StrCat("\"proc\": \"rw\", ", kNamespaces));
  EXPECT_EQ(with.out, "7\nfile\n") << with.err;
  const PlainRun without = run(kNamespaces);
  EXPECT_EQ(without.out, "");
  EXPECT_TRUE(absl::StrContains(without.err, "uid map: Read-only file system")) << without.err;
}

TEST_P(ProcTest, IsToldInWords) {
  const std::string file = With("\"proc\": \"rw\"")[1];
  EXPECT_TRUE(absl::StrContains(Brood({"policy", "explain", file}).out, "/proc with the own processes only, whose files can be written")) << Brood({"policy", "explain", file}).out;
  EXPECT_FALSE(absl::StrContains(Brood({"policy", "explain", GetParam()}).out, "can be written"));
}

TEST_P(ProcTest, WhatWouldBeTakenBackByItIsAnError) {
  const PlainRun score = Script({"--policy", GetParam(), "--proc-rw", "--oom-score-adj", "500"}, "echo ran");
  EXPECT_EQ(score.code, 125);
  EXPECT_EQ(score.out, "");
  EXPECT_TRUE(absl::StrContains(score.err, "oom_score_adj: a process takes it back by a /proc that can be written")) << score.err;
  const PlainRun memory = Script({"--policy", GetParam(), "--proc-rw", "--deny-write-execute"}, "echo ran");
  EXPECT_EQ(memory.out, "");
  EXPECT_TRUE(absl::StrContains(memory.err, "deny_write_execute: a /proc that can be written writes to executable memory")) << memory.err;
  const PlainRun file = Run("\n\"proc\": \"wr\"", {"does_nothing"});
  EXPECT_TRUE(absl::StrContains(file.err, "/policy.json:2: field \"proc\": expected one of ro, rw, got \"wr\"") || absl::StrContains(file.err, "/policy.json:2: field \"proc\"")) << file.err;
}

TEST(ProcWithoutASandboxTest, IsTheMachinesAndNotAskedFor) {
  const PlainRun run = Brood({"run", "--policy", "none", "--proc-rw", "--", "echo", "ran"});
  EXPECT_EQ(run.code, 125);
  EXPECT_EQ(run.out, "");
  EXPECT_TRUE(absl::StrContains(run.err, "proc: of an own /proc, which minimal_system brings")) << run.err;
}

}  // namespace
}  // namespace brood
