// Rules for system calls on real processes: every action, and comparisons as the kernel makes them.
#include <seccomp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "launcher/process.h"
#include "sandbox/errno_words.h"

namespace brood {
namespace {

using Op = ArgumentRule::Op;

std::string ReadAll(const UniqueFd& fd) {
  std::string text;
  char buffer[4096];
  ssize_t n;
  while ((n = pread(fd.get(), buffer, sizeof(buffer), static_cast<off_t>(text.size()))) > 0) {
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

// What the call itself gives a child of ours: 20 for an ordinary one. getpriority(2), "C library/kernel differences"
std::string Priority() { return absl::StrCat(20 - getpriority(PRIO_PROCESS, 0), "\n"); }

class SyscallRulesTest : public testing::Test {
 protected:
  void SetUp() override {
    policy_ = BuiltinPolicy("default").value();
    const std::string directory = absl::StrCat(getenv("TEST_SRCDIR"), "/", getenv("TEST_WORKSPACE"), "/tests/programs/bin");
    char* program = realpath(absl::StrCat(directory, "/makes_call").c_str(), nullptr);
    ASSERT_NE(program, nullptr);
    policy_.files.push_back({.kind = FileRule::Kind::kBind, .source = program, .destination = "/bin-of-test/makes_call"});
    free(program);
  }

  void Rule(const char* name, std::vector<ArgumentRule> args, SyscallAction action, int error = 0) {
    policy_.syscalls.push_back(
        {.names = {name}, .args = std::move(args), .action = action, .errno_value = error, .layer = 7});
  }

  // What the program prints: the call's result.
  std::string Call(const char* name, const std::vector<std::string>& args = {}) {
    const auto plan = CompilePolicy(policy_);
    EXPECT_TRUE(plan.ok()) << plan.status();
    if (!plan.ok()) return "";
    LaunchOptions options;
    options.argv = {"/bin-of-test/makes_call", absl::StrCat(seccomp_syscall_resolve_name(name))};
    options.argv.insert(options.argv.end(), args.begin(), args.end());
    options.policy = *plan;
    options.stdout_spec = Stdio::Capture();
    absl::StatusOr<Process> process = Process::Launch(options);
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return "";
    outcome_ = process->Join(absl::Seconds(60)).value();
    return ReadAll(process->TakeStdout());
  }

  Policy policy_;
  Outcome outcome_;
};

const char kAddress[] = "0";  // No memory: where the call takes place it says EFAULT.

TEST_F(SyscallRulesTest, AllowLetsTheCallTakePlace) {
  Rule("uname", {}, SyscallAction::kAllow);
  EXPECT_EQ(Call("uname", {kAddress}), absl::StrCat(-EFAULT, "\n"));
  EXPECT_TRUE(outcome_.ok()) << outcome_.ToString();
}

TEST_F(SyscallRulesTest, ErrnoAnswersInsteadOfTheCall) {
  Rule("uname", {}, SyscallAction::kErrno, EDOM);
  EXPECT_EQ(Call("uname", {kAddress}), absl::StrCat(-EDOM, "\n"));
  EXPECT_TRUE(outcome_.ok()) << outcome_.ToString();
}

TEST_F(SyscallRulesTest, AnErrnoOfZeroDoesNothingAndSeemsToSucceed) {
  Rule("uname", {}, SyscallAction::kErrno, kSeemsToSucceed);
  EXPECT_EQ(Call("uname", {kAddress}), "0\n");
  EXPECT_TRUE(outcome_.ok()) << outcome_.ToString();
}

TEST_F(SyscallRulesTest, AGroupStandsForEachOfItsCalls) {
  Rule("@identity-read", {}, SyscallAction::kErrno, EDOM);
  for (const char* name : {"uname", "sysinfo"}) {
    EXPECT_EQ(Call(name, {kAddress}), absl::StrCat(-EDOM, "\n")) << name;
    EXPECT_TRUE(outcome_.ok()) << outcome_.ToString();
  }
}

TEST_F(SyscallRulesTest, KillIsAViolationWithItsArguments) {
  Rule("uname", {}, SyscallAction::kKill);
  EXPECT_EQ(Call("uname", {"7", "8", "9", "10", "11", "12"}), "");
  const auto* violation = std::get_if<Violation>(&outcome_.ending);
  ASSERT_NE(violation, nullptr) << outcome_.ToString();
  EXPECT_EQ(violation->syscall, "uname");
  EXPECT_EQ(violation->args, (std::array<uint64_t, 6>{7, 8, 9, 10, 11, 12}));
}

// Nobody listens yet when brood makes that call, and it would wait for an answer.
TEST_F(SyscallRulesTest, AnExecThatIsAViolationWithSomeArgumentsIsAnErrorAtOnce) {
  Rule("execve", {{.index = 1, .op = Op::kGreater, .value = 1}}, SyscallAction::kKill);
  LaunchOptions options;
  options.argv = {"/bin/true"};
  options.policy = CompilePolicy(policy_).value();
  EXPECT_EQ(Process::Launch(options).status().message(),
            "policy: its filter makes execve, execveat or exit_group a violation, with some arguments at least, so that no program can start; allow them");
}

TEST_F(SyscallRulesTest, LogLetsTheCallTakePlace) {
  Rule("uname", {}, SyscallAction::kLog);
  EXPECT_EQ(Call("uname", {kAddress}), absl::StrCat(-EFAULT, "\n"));
  EXPECT_TRUE(outcome_.ok()) << outcome_.ToString();
}

TEST_F(SyscallRulesTest, NotifyLetsTheCallTakePlaceAndTellsOfIt) {
  Rule("uname", {}, SyscallAction::kNotify);
  Rule("getpgid", {}, SyscallAction::kNotify);
  EXPECT_EQ(Call("uname", {kAddress, "8", "9", "10", "11", "12"}), absl::StrCat(-EFAULT, "\n"));
  EXPECT_TRUE(outcome_.ok()) << outcome_.ToString();
  ASSERT_EQ(outcome_.notified.size(), 1u);
  EXPECT_EQ(outcome_.notified[0].syscall, "uname");
  EXPECT_EQ(outcome_.notified[0].count, 1u);
  EXPECT_EQ(outcome_.notified[0].first_args, (std::array<uint64_t, 6>{0, 8, 9, 10, 11, 12}));
}

TEST_F(SyscallRulesTest, OneCallCanBeToldForSomeArgumentsAndForbiddenForOthers) {
  Rule("getpriority", {{.index = 1, .op = Op::kEqual, .value = 0, .width = 32}}, SyscallAction::kNotify);
  Rule("getpriority", {}, SyscallAction::kKill);
  EXPECT_EQ(Call("getpriority", {"0", "0"}), Priority());
  EXPECT_EQ(outcome_.notified.size(), 1u);
  EXPECT_EQ(Call("getpriority", {"0", "1"}), "");
  EXPECT_EQ(outcome_.StatusWord(), "violation") << outcome_.ToString();
}

TEST_F(SyscallRulesTest, BroodsOwnCallsCannotBeNotified) {
  Rule("execve", {}, SyscallAction::kNotify);
  EXPECT_EQ(CompilePolicy(policy_).status().message(),
            "syscalls: the action notify is not possible for execve, which brood itself calls before the target runs");
}

// socket(2) takes an int: a rule of 64 bits is passed by with the high half, one of 32 bits is not.
TEST_F(SyscallRulesTest, ANarrowComparisonIsNotPassedByWithTheHighHalf) {
  const std::string high_half = absl::StrCat((uint64_t{1} << 32) + AF_INET);
  Rule("socket", {{.index = 0, .op = Op::kEqual, .value = AF_INET}}, SyscallAction::kErrno, EDOM);
  Rule("socket", {}, SyscallAction::kAllow);
  EXPECT_EQ(Call("socket", {"2", "1", "0"}), absl::StrCat(-EDOM, "\n"));
  EXPECT_EQ(Call("socket", {high_half, "1", "0"}), "3\n");

  policy_.syscalls[policy_.syscalls.size() - 2].args[0].width = 32;
  EXPECT_EQ(Call("socket", {high_half, "1", "0"}), absl::StrCat(-EDOM, "\n"));
}

TEST_F(SyscallRulesTest, AnExceptionCountsBeforeTheRuleWithoutArgumentsWhereverItStands) {
  Rule("getpriority", {}, SyscallAction::kErrno, EDOM);
  Rule("getpriority", {{.index = 0, .op = Op::kLess, .value = 2}}, SyscallAction::kAllow);
  EXPECT_EQ(Call("getpriority", {"1", "0"}), Priority());
  EXPECT_EQ(Call("getpriority", {"2", "0"}), absl::StrCat(-EDOM, "\n"));
  std::swap(policy_.syscalls[policy_.syscalls.size() - 2], policy_.syscalls.back());
  EXPECT_EQ(Call("getpriority", {"1", "0"}), Priority());
  EXPECT_EQ(Call("getpriority", {"2", "0"}), absl::StrCat(-EDOM, "\n"));
}

}  // namespace
}  // namespace brood
