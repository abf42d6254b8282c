// Filters that somebody else has made, and attributes of processes, with functions by every start method.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <string>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/process.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

std::string Answers() {
  const int parent = syscall(SYS_getppid) < 0 ? errno : 0;
  const int group = syscall(SYS_getpgid, 0) < 0 ? errno : 0;
  return absl::StrCat(parent, " ", group);
}
BROOD_TARGET(Answers);

std::string Attributes() {
  const mode_t mask = umask(0);
  int oom = -1;
  std::ifstream("/proc/self/oom_score_adj") >> oom;
  void* const both = mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return absl::StrCat(getpriority(PRIO_PROCESS, 0), " ", mask, " ", oom, " ", both == MAP_FAILED ? errno : 0);
}
BROOD_TARGET(Attributes);

constexpr StartMethod kMethods[] = {StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer};

BpfFile Refusing(long number, uint32_t answer) {
  const sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1), BPF_STMT(BPF_RET | BPF_K, answer),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  return {.path = "/refusing.bpf", .program = std::string(reinterpret_cast<const char*>(program), sizeof(program))};
}

// What the function gives, or how it failed.
std::string Call(StartMethod method, const Policy& policy, std::string_view target) {
  const auto plan = CompilePolicy(policy);
  if (!plan.ok()) return std::string(plan.status().message());
  LaunchOptions options;
  options.policy = *plan;
  options.stdout_spec = options.stderr_spec = Stdio::Null();
  absl::StatusOr<Process> process = Context(method).StartByName(options, target, {});
  if (!process.ok()) return std::string(process.status().message());
  const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(60));
  if (!outcome.ok()) return std::string(outcome.status().message());
  if (outcome->exit_code() != 0) return outcome->ToString();
  const absl::StatusOr<std::string> value = process->Result<std::string>();
  return value.ok() ? *value : std::string(value.status().message());
}

TEST(FurtherFiltersTest, HoldForFunctionsOfEveryStartMethod) {
  for (const char* name : {"strict", "default"}) {
    Policy policy = BuiltinPolicy(name).value();
    EXPECT_EQ(Call(StartMethod::kFork, policy, "Answers"), "0 0");
    policy.bpf_files = {Refusing(SYS_getppid, SECCOMP_RET_ERRNO | ENOTTY), Refusing(SYS_getpgid, SECCOMP_RET_ERRNO | EXDEV)};
    for (const StartMethod method : kMethods) EXPECT_EQ(Call(method, policy, "Answers"), absl::StrCat(ENOTTY, " ", EXDEV)) << name << StartMethodName(method);
  }
}

// It could not even say why it was not born.
TEST(FurtherFiltersTest, WithoutTheCallsThatAFunctionNeedsItIsNotBorn) {
  Policy policy = BuiltinPolicy("strict").value();
  policy.bpf_files = {Refusing(SYS_write, SECCOMP_RET_KILL_PROCESS)};
  for (const StartMethod method : kMethods) {
    const std::string told = Call(method, policy, "Answers");
    EXPECT_TRUE(absl::StrContains(told, "bpf_files: /refusing.bpf: a function cannot be born without write")) << StartMethodName(method) << ": " << told;
  }
}

// The same of the policy's own filter: the launch would wait for a word that cannot be written.
TEST(FunctionsNeedTest, APolicyThatForbidsToWriteIsAnErrorThatNamesIt) {
  for (const SyscallAction action : {SyscallAction::kKill, SyscallAction::kErrno}) {
    Policy policy = BuiltinPolicy("default").value();
    policy.syscalls.push_back({.names = {"write"}, .action = action, .errno_value = EPERM, .layer = 9});
    for (const StartMethod method : kMethods) {
      const std::string told = Call(method, policy, "Answers");
      EXPECT_TRUE(absl::StrContains(told, "syscalls: a function cannot be born without write")) << StartMethodName(method) << ": " << told;
    }
  }
}

TEST(ProcessAttributesTest, AreThoseOfFunctionsOfEveryStartMethod) {
  for (const char* name : {"strict", "default"}) {
    Policy policy = BuiltinPolicy(name).value();
    policy.process = {.nice = 19, .oom_score_adj = 909, .umask = 0127, .deny_write_execute = true};
    for (const StartMethod method : kMethods) EXPECT_EQ(Call(method, policy, "Attributes"), absl::StrCat("19 ", 0127, " 909 ", EACCES)) << name << StartMethodName(method);
  }
}

// With nothing to set up a function has no init, and may share its caller's memory for a moment: that stays as it was.
TEST(ProcessAttributesTest, WithoutASandboxLeaveTheCallerAsItWas) {
  Policy policy = BuiltinPolicy("none").value();
  const int nice = getpriority(PRIO_PROCESS, 0);
  for (const bool deny_write_execute : {false, true}) {
    policy.process = {.nice = 19, .oom_score_adj = 909, .umask = 0127, .deny_write_execute = deny_write_execute};
    for (const StartMethod method : kMethods) {
      EXPECT_EQ(Call(method, policy, "Attributes"), absl::StrCat("19 ", 0127, " 909 ", deny_write_execute ? EACCES : 0)) << StartMethodName(method);
    }
  }
  const mode_t mask = umask(022);
  umask(mask);
  EXPECT_NE(mask, 0127u);
  EXPECT_EQ(getpriority(PRIO_PROCESS, 0), nice);
  int oom = -1;
  std::ifstream("/proc/self/oom_score_adj") >> oom;
  EXPECT_NE(oom, 909);
  void* const both = mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_NE(both, MAP_FAILED);
  munmap(both, 4096);
}

TEST(ProcessAttributesTest, AFunctionHasTheTimeStampCounter) {
  Policy policy = BuiltinPolicy("default").value();
  policy.process.disable_tsc = true;
  for (const StartMethod method : kMethods) {
    const std::string told = Call(method, policy, "Answers");
    EXPECT_TRUE(absl::StrContains(told, "disable_tsc: a function reads the clock") || absl::StrContains(told, "it is there for x86-64")) << told;
  }
}

}  // namespace
}  // namespace brood
