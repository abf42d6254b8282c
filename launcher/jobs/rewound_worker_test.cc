#include "launcher/jobs/rewound_worker.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "bootstrap/exit.h"
#include "bootstrap/reseed.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/executor/outcome_of.h"
#include "launcher/forkserver_testing.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

// --- targets: one behaviour each ---

std::vector<std::string>* g_words = nullptr;
int g_count = 0;
thread_local int t_count = 0;
std::mt19937 g_engine;
void Load() {
  g_words = new std::vector<std::string>;
  for (int i = 0; i < 100'000; ++i) g_words->push_back(absl::StrCat("word ", i, std::string(static_cast<size_t>(i % 50), 'x')));
  ReseedAfterFork(g_engine);
}
BROOD_TARGET(Load);

int Pid() { return getpid(); }
BROOD_TARGET(Pid);

// Static, thread-local, on the heap: all that one can change. 0: all was as it had been loaded.
int ChangeEverything() {
  static int local = 0;
  int wrong = g_count++ + t_count++ + local++;
  wrong += g_words->size() != 100'000;
  for (size_t i = 0; i < g_words->size(); i += 1000) {
    std::string& word = (*g_words)[i];
    wrong += word != absl::StrCat("word ", i, std::string(i % 50, 'x'));
    word += "changed, so that it needs another place than it had";
  }
  g_words->resize(50'000);
  g_words->shrink_to_fit();
  setenv("BROOD_REWOUND", "changed", 1);
  return wrong;
}
BROOD_TARGET(ChangeEverything);

// What malloc(3) and free(3) make of a heap that is taken back.
uint64_t TortureHeap(uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::unique_ptr<std::string>> texts;
  uint64_t sum = 0;
  for (int i = 0; i < 3000; ++i) {
    texts.push_back(std::make_unique<std::string>(random() % 3000, static_cast<char>(i)));
    if (random() % 2 == 0) texts[random() % texts.size()].reset();
    if (random() % 64 == 0) texts.push_back(std::make_unique<std::string>(200'000, 'y'));
  }
  for (const auto& text : texts) sum = sum * 31 + (text != nullptr ? text->size() : 7);
  for (size_t i = 0; i < 10; ++i) sum += std::make_unique<std::vector<char>>(1 << 20)->at(i);
  return sum;
}
BROOD_TARGET(TortureHeap);

uint64_t Draw() { return g_engine() + (uint64_t{static_cast<unsigned>(rand())} << 32); }
BROOD_TARGET(Draw);

// As of hygiene_test: what the C library knows of the thread. 0: it is right.
int CheckWhoIAm() {
  pthread_mutexattr_t checked;
  pthread_mutexattr_init(&checked);
  pthread_mutexattr_settype(&checked, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_t mutex;
  pthread_mutex_init(&mutex, &checked);
  pthread_mutex_lock(&mutex);
  if (mutex.__data.__owner != syscall(SYS_gettid)) return 1;
  if (pthread_mutex_lock(&mutex) != EDEADLK) return 2;
  unsigned cpu = 0;
  for (int i = 0; i < 100; ++i) {
    syscall(SYS_getcpu, &cpu, nullptr, nullptr);
    if (sched_getcpu() == static_cast<int>(cpu)) break;
    if (i == 99) return 3;
  }
  int joined = 0;
  std::thread([&] { joined = 1; }).join();
  return joined == 1 ? 0 : 4;
}
BROOD_TARGET(CheckWhoIAm);

void Throw() { throw std::runtime_error("broken"); }
BROOD_TARGET(Throw);
void Exits() { Exit(7); }
BROOD_TARGET(Exits);
void Dies(int signal) { raise(signal); }
BROOD_TARGET(Dies);
void WaitForEver() {
  while (true) pause();
}
BROOD_TARGET(WaitForEver);
void Print() { fputs("said ", stdout); }
BROOD_TARGET(Print);
int Recurse(int depth) {
  volatile char room[1024] = {};
  room[0] = static_cast<char>(depth);
  return depth == 0 ? 0 : Recurse(depth - 1) + room[0] - static_cast<char>(depth);
}
BROOD_TARGET(Recurse);

// What a worker is retired for.
void LeaveDescriptor() { (void)!dup(0); }
BROOD_TARGET(LeaveDescriptor);
void ExchangeDescriptor() { dup2(open("/dev/zero", O_RDWR), 0); }
BROOD_TARGET(ExchangeDescriptor);
void LeaveFlag() { fcntl(0, F_SETFD, FD_CLOEXEC); }
BROOD_TARGET(LeaveFlag);
void LeaveMapping() {
  const UniqueFd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  (void)mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, file.get(), 0);
}
BROOD_TARGET(LeaveMapping);
// Of the image. True if the kernel does not let that happen.
bool TakeMappingAway() {
  void* const page = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(g_words->data()) & ~uintptr_t{4095});
  return mprotect(page, 4096, PROT_READ) != 0 && munmap(page, 4096) != 0;
}
BROOD_TARGET(TakeMappingAway);
void LeaveSharedMemory() { (void)mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); }
BROOD_TARGET(LeaveSharedMemory);
void LeaveAlarm() { alarm(1000); }
BROOD_TARGET(LeaveAlarm);
void LeaveTimer() {
  timer_t timer;
  timer_create(CLOCK_MONOTONIC, nullptr, &timer);
}
BROOD_TARGET(LeaveTimer);
void BlockSignal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, nullptr);
}
BROOD_TARGET(BlockSignal);
void LeavePending() {
  BlockSignal();
  raise(SIGUSR1);
  sigset_t none;
  sigemptyset(&none);
}
BROOD_TARGET(LeavePending);
void HandleSignal() { signal(SIGUSR1, [](int) {}); }
BROOD_TARGET(HandleSignal);
void IgnoreSignal() { signal(SIGRTMIN + 2, SIG_IGN); }
BROOD_TARGET(IgnoreSignal);
void LeaveOtherStack() {
  static char stack[65536];
  stack_t other = {};
  other.ss_sp = stack;
  other.ss_size = sizeof(stack);
  sigaltstack(&other, nullptr);
}
BROOD_TARGET(LeaveOtherStack);
void LeaveThread() {
  std::thread([] { WaitForEver(); }).detach();
}
BROOD_TARGET(LeaveThread);
void LeaveChild() {
  if (fork() == 0) WaitForEver();
}
BROOD_TARGET(LeaveChild);
void LeaveZombie() {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  siginfo_t info = {};
  waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
}
BROOD_TARGET(LeaveZombie);
void ChangeDirectory() { (void)!chdir("/proc"); }
BROOD_TARGET(ChangeDirectory);
void ChangeMask() { umask(0123); }
BROOD_TARGET(ChangeMask);
void ChangeLimit() {
  rlimit limit = {};
  getrlimit(RLIMIT_CPU, &limit);
  limit.rlim_cur = 100'000;
  setrlimit(RLIMIT_CPU, &limit);
}
BROOD_TARGET(ChangeLimit);
void ChangeName() { prctl(PR_SET_NAME, "another", 0, 0, 0); }
BROOD_TARGET(ChangeName);
void ChangeGroup() { setpgid(0, 0); }
BROOD_TARGET(ChangeGroup);

// --- helpers ---

Context Frozen() { return Context(StartMethod::kForkServer, {.preload = {"Load"}, .freeze = Freeze::kOn}); }

using Reasons = std::map<std::string, uint64_t>;

// --- the tests ---

TEST(RewoundWorkerTest, EachJobFindsMemoryAsItWasFrozenThoughOneProcessRunsThemAll) {
  RewoundWorker worker = RewoundWorker::Create(Frozen()).value();
  const int pid = worker.Call(Pid).value();
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(worker.Call(ChangeEverything).value(), 0) << i;
    EXPECT_EQ(worker.Call(Throw).message(), "std::runtime_error: broken");
  }
  EXPECT_EQ(worker.Call(Pid).value(), pid);
  EXPECT_EQ(worker.retired(), Reasons());
}

TEST(RewoundWorkerTest, TheHeapBearsBeingTakenBack) {
  RewoundWorker worker = RewoundWorker::Create(Frozen()).value();
  for (uint64_t seed = 0; seed < 30; ++seed) ASSERT_EQ(worker.Call(TortureHeap, seed).value(), TortureHeap(seed)) << seed;
  EXPECT_EQ(worker.retired(), Reasons());
}

TEST(RewoundWorkerTest, TheCLibraryKnowsWhoItIs) {
  RewoundWorker worker = RewoundWorker::Create(Frozen()).value();
  for (int i = 0; i < 20; ++i) ASSERT_EQ(worker.Call(CheckWhoIAm).value(), 0) << i;
  EXPECT_EQ(worker.Settle(), absl::OkStatus());
  EXPECT_EQ(worker.retired(), Reasons());
}

TEST(RewoundWorkerTest, NoTwoJobsDrawTheSameRandomNumbers) {
  RewoundWorker worker = RewoundWorker::Create(Frozen()).value();
  std::set<uint64_t> drawn;
  for (int i = 0; i < 10; ++i) drawn.insert(worker.Call(Draw).value());
  EXPECT_EQ(drawn.size(), 10u);
}

TEST(RewoundWorkerTest, IsRefusedWhereNothingIsFrozen) {
  for (const StartMethod method : {StartMethod::kForkServer, StartMethod::kSpawn}) {
    const absl::Status status = RewoundWorker::Create(Context(method)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "not frozen")) << status;
  }
}

TEST(RewoundWorkerTest, IsRetiredByNameForWhateverTheKernelKnowsThatItDidNotKnowBefore) {
  struct Case {
    void (*job)();
    const char* reason;
  };
  for (const Case& one : {Case{LeaveDescriptor, "descriptors"},
                          Case{ExchangeDescriptor, "descriptors"},
                          Case{LeaveFlag, "descriptors"},
                          Case{LeaveMapping, "mappings"},
                          Case{LeaveSharedMemory, "mappings"},
                          Case{LeaveAlarm, "timers"},
                          Case{LeaveTimer, "timers"},
                          Case{BlockSignal, "signals (blocked)"},
                          Case{LeavePending, "signals (pending)"},
                          Case{HandleSignal, "signals (handlers)"},
                          Case{IgnoreSignal, "signals (ignored)"},
                          Case{LeaveOtherStack, "signals (alternative stack)"},
                          Case{LeaveThread, "threads"},
                          Case{LeaveChild, "children"},
                          Case{LeaveZombie, "children"},
                          Case{ChangeDirectory, "working directory"},
                          Case{ChangeMask, "file mode mask"},
                          Case{ChangeLimit, "resource limits"},
                          Case{ChangeName, "name of the process"},
                          Case{ChangeGroup, "process group"}}) {
    RewoundWorker worker = RewoundWorker::Create(Frozen()).value();
    EXPECT_EQ(worker.Call(one.job), absl::OkStatus()) << one.reason;
    EXPECT_EQ(worker.Settle(), absl::OkStatus());
    EXPECT_EQ(worker.retired(), (Reasons{{one.reason, 1}}));
    EXPECT_EQ(worker.Call(ChangeEverything).value(), 0) << one.reason;
    EXPECT_EQ(worker.Call(ChangeEverything).value(), 0) << one.reason;
    EXPECT_EQ(worker.retired(), (Reasons{{one.reason, 1}}));
  }
}

TEST(RewoundWorkerTest, AJobThatTakesMappingsOfTheImageAwayIsPreventedOrItsWorkersLast) {
  RewoundWorker worker = RewoundWorker::Create(Frozen()).value();
  const bool sealed = worker.Call(TakeMappingAway).value();
  EXPECT_EQ(worker.Settle(), absl::OkStatus());
  EXPECT_EQ(worker.retired(), sealed ? Reasons() : (Reasons{{"mappings", 1}}));
  EXPECT_EQ(worker.Call(Pid).ok(), true);
}

TEST(RewoundWorkerTest, AJobThatEndsItsWorkerIsAnErrorAndTheNextOneHasAnother) {
  RewoundWorker worker = RewoundWorker::Create(Frozen(), {.launch = {}, .timeout = absl::Milliseconds(500)}).value();
  EXPECT_EQ(OutcomeOf(worker.Call(Exits))->exit_code(), 7);
  EXPECT_EQ(worker.Call(ChangeEverything).value(), 0);
  // The worker handles SIGSYS, which a job is not to see.
  for (const int signal : {SIGKILL, SIGSYS}) {
    EXPECT_EQ(OutcomeOf(worker.Call(Dies, signal))->exit_code(), -signal);
    EXPECT_EQ(worker.Call(ChangeEverything).value(), 0);
  }
  EXPECT_EQ(worker.Call(WaitForEver).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(worker.Call(ChangeEverything).value(), 0);
}

TEST(RewoundWorkerTest, AStackThatHasGrownIsNoReason) {
  RewoundWorker worker = RewoundWorker::Create(Frozen()).value();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(worker.Call(Recurse, 3000 * i).value(), 0);
  EXPECT_EQ(worker.Settle(), absl::OkStatus());
  EXPECT_EQ(worker.retired(), Reasons());
}

TEST(RewoundWorkerTest, WhatAJobPrintsIsPrintedOnce) {
  UniqueFd out(memfd_create("out", MFD_CLOEXEC));
  RewoundWorker worker = RewoundWorker::Create(Frozen(), {.launch = {.stdout_spec = Stdio::Fd(out.get())}}).value();
  for (int i = 0; i < 3; ++i) ASSERT_EQ(worker.Call(Print), absl::OkStatus());
  ASSERT_EQ(worker.Settle(), absl::OkStatus());
  EXPECT_EQ(TextOf(out.get()), "said said said ");
  EXPECT_EQ(worker.retired(), Reasons());
}

TEST(RewoundWorkerTest, IsReplacedAfterAsManyJobsAsItMayDo) {
  RewoundWorker worker = RewoundWorker::Create(Frozen(), {.launch = {}, .max_jobs = 2}).value();
  std::vector<int> pids;
  for (int i = 0; i < 6; ++i) pids.push_back(worker.Call(Pid).value());
  for (size_t i = 0; i < pids.size(); ++i) EXPECT_EQ(pids[i], pids[i / 2 * 2]) << i;
  EXPECT_EQ(std::set<int>(pids.begin(), pids.end()).size(), 3u);
}

TEST(RewoundWorkerTest, WorksInASandbox) {
  RewoundWorker worker =
      RewoundWorker::Create(Frozen(), {.launch = {.policy = CompilePolicy(BuiltinPolicy("strict").value()).value()}}).value();
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(worker.Call(CheckWhoIAm).value(), 0) << i;
    ASSERT_EQ(worker.Call(TortureHeap, 7u).value(), TortureHeap(7)) << i;
  }
  EXPECT_EQ(worker.Settle(), absl::OkStatus());
  EXPECT_EQ(worker.retired(), Reasons());
}

TEST(RewoundWorkerTest, LeavesNoDescriptorHere) {
  ASSERT_TRUE(RewoundWorker::Create(Frozen()).ok());
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(RewoundWorker::Create(Frozen())->Call(Pid).ok());
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace brood
