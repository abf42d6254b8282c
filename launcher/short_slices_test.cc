// Who waits for a child runs as soon as there is something to do, though the child's processes want the processor, too.
#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/process.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

constexpr uint64_t kShortestNs = 100'000;

struct Attributes {  // sched_setattr(2)
  uint32_t size = sizeof(Attributes);
  uint32_t policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;
  uint64_t deadline = 0;
  uint64_t period = 0;
};

Attributes Of(pid_t pid) {
  Attributes attributes;
  EXPECT_EQ(syscall(SYS_sched_getattr, pid, &attributes, sizeof(attributes), 0), 0) << pid;
  return attributes;
}

std::string NameOf(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/comm"));
  std::string line;
  std::getline(file, line);
  return line;
}

pid_t ParentOf(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/status"));
  pid_t parent = 0;
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "PPid:") && !absl::SimpleAtoi(line.substr(5), &parent)) ADD_FAILURE() << line;
  }
  return parent;
}

class ShortSlicesTest : public testing::Test {
 protected:
  ShortSlicesTest() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    reader_ = UniqueFd(ends[0]);
    writer_ = UniqueFd(ends[1]);
    options_.argv = {"cat"};
    options_.policy = CompilePolicy(BuiltinPolicy("strict").value()).value();
    options_.stdin_spec = Stdio::Fd(reader_.get());
    options_.stdout_spec = options_.stderr_spec = Stdio::Null();
  }

  void SetUp() override {
    if (Of(0).runtime == 0) GTEST_SKIP() << "this kernel knows no slices of single processes: they are there from Linux 6.12 on";
  }

  // What `process` and those above it have, up to brood's last.
  void ExpectThoseAboveHaveShortOnes(pid_t pid, int count) {
    ASSERT_GT(pid, 0) << "it does not run";
    for (pid_t above = ParentOf(pid); count > 0; above = ParentOf(above), --count) {
      EXPECT_TRUE(absl::StartsWith(NameOf(above), "brood-")) << above << " " << NameOf(above);
      EXPECT_EQ(Of(above).runtime, kShortestNs) << above << " " << NameOf(above);
    }
  }

  UniqueFd reader_, writer_;
  LaunchOptions options_;
};

TEST_F(ShortSlicesTest, InitAndGuardianHaveTheShortestAndTheProgramTheCallers) {
  const Attributes own = Of(0);
  Process process = Process::Start(options_).value();
  ExpectThoseAboveHaveShortOnes(process.pid(), 2);
  EXPECT_EQ(Of(process.pid()).runtime, own.runtime);
  EXPECT_EQ(Of(process.pid()).nice, own.nice);
  EXPECT_EQ(Of(process.pid()).flags, own.flags);
}

TEST_F(ShortSlicesTest, AKeeperHasTheShortestAndItsProgramTheCallers) {
  const Attributes own = Of(0);
  const Context context(StartMethod::kForkServer);
  Process process = context.Launch(options_).value();
  ExpectThoseAboveHaveShortOnes(process.pid(), 1);
  EXPECT_EQ(Of(process.pid()).runtime, own.runtime);
  EXPECT_EQ(Of(process.pid()).nice, own.nice);
  EXPECT_EQ(Of(process.pid()).flags, own.flags);
}

// In a process of its own, since it changes what this one has.
TEST_F(ShortSlicesTest, WhatTheCallerHasChosenItselfReachesItsProgramsWithEachStart) {
  const pid_t child = fork();
  if (child == 0) {
    Attributes chosen = Of(0);
    chosen.runtime = 5'000'000;
    const bool set = syscall(SYS_sched_setattr, 0, &chosen, 0) == 0;
    Process fresh = Process::Start(options_).value();
    const Context context(StartMethod::kForkServer);
    Process kept = context.Launch(options_).value();
    const bool both = fresh.pid() > 0 && kept.pid() > 0 && Of(fresh.pid()).runtime == chosen.runtime && Of(kept.pid()).runtime == chosen.runtime;
    fresh.Kill().IgnoreError();
    kept.Kill().IgnoreError();
    _exit(set && both && fresh.Join().ok() && kept.Join().ok() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace brood
