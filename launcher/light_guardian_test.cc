#include "launcher/light_guardian.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "base/child_safe.h"
#include "bootstrap/bootstrap.h"
#include "gtest/gtest.h"
#include "launcher/context.h"

namespace brood {
namespace {

thread_local int t_number = 0;
int g_prepared = 0, g_in_parent = 0, g_in_child = 0;

int NumberOfThread() { return t_number; }
BROOD_TARGET(NumberOfThread);

std::vector<int> Handlers() { return {g_prepared, g_in_parent, g_in_child}; }
BROOD_TARGET(Handlers);

// Where the C library believes that it runs on each of the processors, or -1.
std::vector<int> ProcessorsSeen() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return {};
  std::vector<int> seen;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof(one), &one) != 0) return {};
    seen.push_back(sched_getcpu() == cpu ? cpu : -1);
  }
  return seen;
}
BROOD_TARGET(ProcessorsSeen);

// As deep as a default stack allows, and far deeper than the guardian's.
int UseStack(int kilobytes) {
  volatile char page[1024];
  page[0] = static_cast<char>(kilobytes);
  return kilobytes == 0 ? 0 : UseStack(kilobytes - 1) + (page[0] == static_cast<char>(kilobytes) ? 1 : 0);
}
BROOD_TARGET(UseStack);

pid_t ParentOfTarget() { return getppid(); }
BROOD_TARGET(ParentOfTarget);

void Forever() {
  for (;;) pause();
}
BROOD_TARGET(Forever);

// Leaves an orphan that ends when its parent has, and waits until nothing of it is there. False if it stays a zombie.
bool OrphanIsReaped() {
  int told[2], held[2];
  if (pipe(told) != 0 || pipe(held) != 0) return false;
  const pid_t parent = fork();
  if (parent == 0) {
    const pid_t orphan = fork();
    if (orphan != 0) _exit(write(told[1], &orphan, sizeof(orphan)) == sizeof(orphan) ? 0 : 1);
    char byte;
    close(held[1]);
    _exit(read(held[0], &byte, 1) == 0 ? 0 : 1);
  }
  pid_t orphan = 0;
  if (read(told[0], &orphan, sizeof(orphan)) != sizeof(orphan) || waitpid(parent, nullptr, 0) != parent) return false;
  for (const int fd : {told[0], told[1], held[0], held[1]}) close(fd);
  const absl::Time patience = absl::Now() + absl::Seconds(20);
  while (kill(orphan, 0) == 0 && absl::Now() < patience) sched_yield();
  return kill(orphan, 0) != 0;
}
BROOD_TARGET(OrphanIsReaped);

int Same(int value) { return value; }
BROOD_TARGET(Same);

pid_t ParentOf(pid_t pid) {
  char stat[512];
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  if (child::ReadFile(AT_FDCWD, path.c_str(), stat, sizeof(stat)) <= 0) return -1;
  const std::string text = stat;
  const size_t end = text.rfind(')');
  return end == std::string::npos ? -1 : static_cast<pid_t>(std::stol(text.substr(end + 4)));
}

class LightGuardianTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!internal::LightGuardiansWork()) GTEST_SKIP() << "not written for this processor, or built with a sanitizer";
  }
  const Context context_{StartMethod::kFork};
};

TEST_F(LightGuardianTest, TheGuardianIsAChildOfOursAndTheTargetsParent) {
  absl::StatusOr<Process> process = context_.Start(ParentOfTarget);
  ASSERT_TRUE(process.ok()) << process.status();
  absl::StatusOr<pid_t> guardian = process->Result<pid_t>();
  ASSERT_TRUE(guardian.ok()) << guardian.status();
  EXPECT_NE(*guardian, getpid());
}

TEST_F(LightGuardianTest, TheTargetIsAForkOfTheCallingThread) {
  t_number = 42;
  EXPECT_EQ(context_.Call(NumberOfThread).value_or(-1), 42);
}

TEST_F(LightGuardianTest, ForkHandlersRunOnceEach) {
  ASSERT_EQ(pthread_atfork([] { ++g_prepared; }, [] { ++g_in_parent; }, [] { ++g_in_child; }), 0);
  const absl::StatusOr<std::vector<int>> in_child = context_.Call(Handlers);
  ASSERT_TRUE(in_child.ok()) << in_child.status();
  EXPECT_EQ(*in_child, (std::vector<int>{1, 0, 1}));
  EXPECT_EQ(Handlers(), (std::vector<int>{1, 1, 0}));
}

TEST_F(LightGuardianTest, TheTargetKnowsOnWhichProcessorItRuns) {
  const absl::StatusOr<std::vector<int>> seen = context_.Call(ProcessorsSeen);
  ASSERT_TRUE(seen.ok()) << seen.status();
  EXPECT_FALSE(seen->empty());
  for (const int cpu : *seen) EXPECT_NE(cpu, -1);
}

TEST_F(LightGuardianTest, TheTargetHasTheWholeStackOfTheThread) {
  EXPECT_EQ(context_.Call(UseStack, 4096).value_or(-1), 4096);
}

TEST_F(LightGuardianTest, NothingOfTheCallerIsChanged) {
  ASSERT_EQ(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
  absl::StatusOr<Process> process = context_.Start(Forever);
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_EQ(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1) << "the memory is shared, and this is the memory's";
  char name[16] = {};
  ASSERT_EQ(prctl(PR_GET_NAME, name, 0, 0, 0), 0);
  EXPECT_STRNE(name, "brood-guardian");
  sigset_t mask;
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &mask), 0);
  EXPECT_EQ(sigismember(&mask, SIGTERM), 0);
  // What the guardian's system calls leave behind when it reacts to this is its own.
  errno = 4711;
  const absl::Status killed = process->Kill();
  process->Join().IgnoreError();
  ASSERT_TRUE(killed.ok()) << killed;
}

TEST_F(LightGuardianTest, AStoppedTargetStaysStopped) {
  absl::StatusOr<Process> process = context_.Start(Forever);
  ASSERT_TRUE(process.ok()) << process.status();
  const pid_t pid = process->pid();
  ASSERT_TRUE(process->Signal(SIGSTOP).ok());
  // The guardian is its parent and is told; it must not take it for a stopped init. Until the kernel shows the stop.
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  char state = '?';
  for (int i = 0; i < 1'000'000 && state != 'T'; ++i) {
    char stat[512];
    ASSERT_GT(child::ReadFile(AT_FDCWD, path.c_str(), stat, sizeof(stat)), 0);
    const std::string text = stat;
    state = text[text.rfind(')') + 2];
  }
  EXPECT_EQ(state, 'T');
  EXPECT_TRUE(process->IsAlive());
  ASSERT_TRUE(process->Signal(SIGCONT).ok());
  ASSERT_TRUE(process->Terminate().ok());
  EXPECT_EQ(process->Join()->exit_code(), -SIGTERM);
}

TEST_F(LightGuardianTest, OrphansOfTheTargetAreReapedWhileItRuns) {
  EXPECT_TRUE(context_.Call(OrphanIsReaped).value_or(false));
  EXPECT_TRUE(Context(StartMethod::kForkServer).Call(OrphanIsReaped).value_or(false));
}

TEST_F(LightGuardianTest, AKilledGuardianTakesTheTargetWithIt) {
  absl::StatusOr<Process> process = context_.Start(Forever);
  ASSERT_TRUE(process.ok()) << process.status();
  const pid_t target = process->pid();
  const pid_t guardian = ParentOf(target);
  ASSERT_GT(guardian, 1);
  ASSERT_NE(guardian, getpid());
  const int target_fd = static_cast<int>(syscall(SYS_pidfd_open, target, 0));
  ASSERT_GE(target_fd, 0);
  ASSERT_EQ(kill(guardian, SIGKILL), 0);
  const absl::StatusOr<Outcome> outcome = process->Join();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_TRUE(std::holds_alternative<Lost>(outcome->ending)) << outcome->ToString();
  // Ended; its new parent, whoever that is here, may not have reaped it yet, and until then signals reach it. pidfd_open(2).
  pollfd end = {.fd = target_fd, .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&end, 1, 0), 1) << "the target runs still";
  close(target_fd);
}

TEST_F(LightGuardianTest, ManyThreadsStartAtOnce) {
  const Context safe(StartMethod::kFork, {.fork_with_threads = ForkWithThreads::kCallerSaysSafe});
  std::vector<std::thread> threads;
  std::vector<int> right(8, 0);
  for (size_t i = 0; i < right.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 50; ++n) {
        errno = static_cast<int>(i) + 1000;
        t_number = static_cast<int>(i) * 1000 + n;
        if (safe.Call(NumberOfThread).value_or(-1) == t_number) ++right[i];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, std::vector<int>(8, 50));
}

TEST_F(LightGuardianTest, AThousandLaunchesKeepNoMemory) {
  const auto mapped = [] {
    char statm[256];
    return child::ReadFile(AT_FDCWD, "/proc/self/statm", statm, sizeof(statm)) > 0 ? std::stol(statm) : -1;
  };
  for (int i = 0; i < 10; ++i) ASSERT_EQ(context_.Call(Same, i).value_or(-1), i);
  const long before = mapped();
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(context_.Call(Same, i).value_or(-1), i);
  EXPECT_LT(mapped() - before, 64) << "pages";
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) {
  brood::Bootstrap(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
