// What a forkserver's child must not have of the server, whichever way it is born: each is one rule, tried on real children
// after a preload that has done all it can to break it.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <variant>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/random.h"
#include "bootstrap/exit.h"
#include "bootstrap/reseed.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"
#include "launcher/server.h"

extern "C" {
[[gnu::weak]] uint32_t arc4random(void);  // glibc 2.36.
}

namespace brood {
namespace {

// --- random numbers ---

std::mt19937 g_engine;
absl::BitGen g_bits;

using RandBytes = int (*)(unsigned char* bytes, int size);
RandBytes FindRandBytes() {
  void* const library = dlopen("libcrypto.so.3", RTLD_NOW);
  return library == nullptr ? nullptr : reinterpret_cast<RandBytes>(dlsym(library, "RAND_bytes"));
}

// One number of each, in the order of kGenerators.
constexpr const char* kGenerators[] = {"rand", "random", "std::mt19937", "absl::BitGen", "absl::BitGen of KernelSeed", "std::random_device",
                                       "FillRandom", "arc4random", "OpenSSL"};
std::string DrawFromAll() {
  KernelSeed seed;
  absl::BitGen fresh(seed);
  uint64_t filled = 0;
  (void)FillRandom(&filled, sizeof(filled));
  const std::string arc4 = arc4random != nullptr ? absl::StrCat(arc4random()) : "-";
  uint64_t openssl = 0;
  const RandBytes draw = FindRandBytes();
  if (draw != nullptr) draw(reinterpret_cast<unsigned char*>(&openssl), sizeof(openssl));
  return absl::StrCat(rand(), " ", random(), " ", g_engine(), " ", g_bits(), " ", fresh(), " ", std::random_device()(), " ", filled, " ",
                      arc4, " ", draw != nullptr ? absl::StrCat(openssl) : "-");
}

void LoadGenerators() {
  ReseedAfterFork(g_engine);
  ReseedAfterFork(g_bits);
  DrawFromAll();
}
BROOD_TARGET(LoadGenerators);

ExitCode Draw(const std::string& path) {
  std::ofstream(path, std::ios::app) << DrawFromAll() << "\n";
  return {0};
}
BROOD_TARGET(Draw);

// --- threads and locks ---

// What takes the C library's locks, and the loader's.
void UseEverything() {
  for (int i = 0; i < 20; ++i) {
    free(malloc(static_cast<size_t>(64 << (i % 12))));
    char text[64];
    snprintf(text, sizeof(text), "%f", i * 0.5);
    fprintf(stderr, "%s", i == 0 ? "" : "");
    fflush(nullptr);
    const time_t now = i;
    tm broken = {};
    localtime_r(&now, &broken);
    setenv("BROOD_HYGIENE", text, 1);
    dlclose(dlopen(nullptr, RTLD_NOW));
    (void)rand();
    (void)std::random_device()();
  }
}

void LoadJoinsThreadsThatTookAllLocks() {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back(UseEverything);
  for (std::thread& thread : threads) thread.join();
}
BROOD_TARGET(LoadJoinsThreadsThatTookAllLocks);

ExitCode UseEverythingHere() {
  UseEverything();
  std::thread(UseEverything).join();
  return {0};
}
BROOD_TARGET(UseEverythingHere);

size_t ThreadsOf(const std::string& process) {
  size_t count = 0;
  DIR* const directory = opendir(absl::StrCat("/proc/", process, "/task").c_str());
  while (const dirent* entry = readdir(directory)) count += entry->d_name[0] != '.';
  closedir(directory);
  return count;
}

ExitCode CountThreads() {
  if (ThreadsOf("self") != 1) return {1};
  const int server = ServerAbove();
  return {server > 0 && ThreadsOf(absl::StrCat(server)) == 1 ? 0 : 2};
}
BROOD_TARGET(CountThreads);

// --- descriptors ---

void LoadOpensDescriptors() {
  for (int i = 0; i < 20; ++i) (void)open("/dev/null", O_RDONLY);
  (void)epoll_create1(0);
  int pair[2];
  (void)socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  dup2(pair[0], 900);
}
BROOD_TARGET(LoadOpensDescriptors);

ExitCode ListDescriptors(const std::string& path) {
  std::string open_ones;
  for (int fd = 0; fd < 1024; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) absl::StrAppend(&open_ones, fd, " ");
  }
  std::ofstream(path) << open_ones;
  return {0};
}
BROOD_TARGET(ListDescriptors);

// --- signals and timers ---

alignas(16) char g_other_stack[65536];

void LoadChangesSignals() {
  signal(SIGUSR1, [](int) {});
  signal(SIGPIPE, SIG_IGN);
  signal(SIGRTMIN + 3, SIG_IGN);
  stack_t stack = {};
  stack.ss_sp = g_other_stack;
  stack.ss_size = sizeof(g_other_stack);
  sigaltstack(&stack, nullptr);
  sigset_t blocked;
  sigfillset(&blocked);
  sigprocmask(SIG_BLOCK, &blocked, nullptr);
  raise(SIGINT);  // Waits for ever.
}
BROOD_TARGET(LoadChangesSignals);

ExitCode CheckSignals() {
  for (int number = 1; number <= SIGRTMAX; ++number) {
    struct sigaction action = {};
    if (sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_DFL) return {1};
  }
  sigset_t set;
  sigprocmask(SIG_SETMASK, nullptr, &set);
  if (sigisemptyset(&set) != 1) return {2};
  sigpending(&set);
  if (sigisemptyset(&set) != 1) return {3};
  stack_t stack = {};
  sigaltstack(nullptr, &stack);
  return {(stack.ss_flags & SS_DISABLE) != 0 ? 0 : 4};
}
BROOD_TARGET(CheckSignals);

void LoadSetsTimers() {
  const itimerval later = {.it_interval = {.tv_sec = 1000, .tv_usec = 0}, .it_value = {.tv_sec = 1000, .tv_usec = 0}};
  setitimer(ITIMER_REAL, &later, nullptr);
  setitimer(ITIMER_VIRTUAL, &later, nullptr);
  setitimer(ITIMER_PROF, &later, nullptr);
  timer_t timer;
  timer_create(CLOCK_MONOTONIC, nullptr, &timer);
  prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
}
BROOD_TARGET(LoadSetsTimers);

ExitCode CheckTimers() {
  for (const __itimer_which which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
    itimerval left = {};
    getitimer(which, &left);
    if (left.it_value.tv_sec != 0 || left.it_value.tv_usec != 0) return {1 + static_cast<int>(which)};
  }
  return {Read("/proc/self/timers").empty() ? 0 : 5};
}
BROOD_TARGET(CheckTimers);

// --- who one is ---

int g_pid = 0, g_tid = 0;
void LoadLooksWhoItIs() {
  g_pid = getpid();
  g_tid = gettid();
}
BROOD_TARGET(LoadLooksWhoItIs);

std::atomic<bool> g_raised = false;

ExitCode CheckWhoIAm() {
  if (getpid() == g_pid || getpid() != syscall(SYS_getpid)) return {1};
  if (gettid() == g_tid || gettid() != syscall(SYS_gettid)) return {2};
  // What the C library keeps for itself: the owner of a mutex, and whom raise(3) and pthread_kill(3) reach.
  pthread_mutexattr_t checked;
  pthread_mutexattr_init(&checked);
  pthread_mutexattr_settype(&checked, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_t mutex;
  pthread_mutex_init(&mutex, &checked);
  pthread_mutex_lock(&mutex);
  if (mutex.__data.__owner != syscall(SYS_gettid)) return {3};
  if (pthread_mutex_lock(&mutex) != EDEADLK) return {4};
  signal(SIGUSR2, [](int) { g_raised = true; });
  raise(SIGUSR2);
  if (!g_raised.exchange(false)) return {5};
  pthread_kill(pthread_self(), SIGUSR2);
  if (!g_raised.exchange(false)) return {6};
  // The kernel's record of the processor that we are on.
  cpu_set_t all;
  sched_getaffinity(0, sizeof(all), &all);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &all)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
    if (sched_getcpu() != cpu) return {7};
  }
  // Robust mutexes are known to the kernel, which looks through them at the end of a thread.
  pthread_mutexattr_t robust;
  pthread_mutexattr_init(&robust);
  pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
  static pthread_mutex_t left;
  pthread_mutex_init(&left, &robust);
  std::thread([] { pthread_mutex_lock(&left); }).join();
  return {pthread_mutex_lock(&left) == EOWNERDEAD ? 0 : 8};
}
BROOD_TARGET(CheckWhoIAm);

// --- secrets ---

char* g_secret = nullptr;
void LoadSecret() {
  g_secret = static_cast<char*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  madvise(g_secret, 4096, MADV_DONTFORK);
  strcpy(g_secret, "a key that is the server's");
  for (int i = 0; i < 100'000; ++i) new int(i);  // Something to freeze.
}
BROOD_TARGET(LoadSecret);

ExitCode LookForSecret() {
  unsigned char there = 0;
  if (g_secret == nullptr) return {1};
  if (mincore(g_secret, 4096, &there) == 0 || errno != ENOMEM) return {2};
  return {0};
}
BROOD_TARGET(LookForSecret);

// --- the end of its keeper ---

// Opens a FIFO for reading, and has it open until it ends.
ExitCode HoldFifo(const std::string& path) {
  const UniqueFd fifo(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  while (true) pause();
}
BROOD_TARGET(HoldFifo);

BROOD_TARGET(SupervisorAbove);
ExitCode TellSupervisor(const std::string& path) {
  std::ofstream(path) << SupervisorAbove();
  return {0};
}
BROOD_TARGET(TellSupervisor);

// --- the ways to be born ---

enum class Birth { kTarget, kGuardian, kCall };

class HygieneTest : public testing::TestWithParam<std::tuple<Birth, Freeze>> {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/said";
  }
  void TearDown() override {
    unlink(path_.c_str());
    rmdir(folder_.c_str());
  }

  // Of a child of a server that has run `preload`.
  int Code(const std::string& preload, const std::string& target, const std::vector<TypedValue>& arguments = {}) {
    const ContextOptions options = {.preload = {preload}, .freeze = std::get<1>(GetParam())};
    absl::StatusOr<Outcome> outcome;
    if (std::get<0>(GetParam()) == Birth::kCall) {
      if (!server_.has_value()) server_ = Server::Start(options).value();
      outcome = server_->Call(target, arguments);
    } else {
      // A captured stream needs a guardian and an init of its own.
      const Stdio out = std::get<0>(GetParam()) == Birth::kGuardian ? Stdio::Capture() : Stdio::Inherit();
      absl::StatusOr<CallResult> result =
          Context(StartMethod::kForkServer, options).CallByName({.stdout_spec = out}, target, arguments);
      outcome = result.ok() ? absl::StatusOr<Outcome>(result->outcome) : result.status();
    }
    EXPECT_EQ(outcome.status(), absl::OkStatus());
    return outcome.ok() ? outcome->exit_code() : -2000;
  }

  std::string folder_ = absl::StrCat(testing::TempDir(), "/brood-hygiene-XXXXXX");
  std::string path_;
  std::optional<Server> server_;
};

std::string NameOf(const testing::TestParamInfo<std::tuple<Birth, Freeze>>& info) {
  constexpr const char* kBirths[] = {"Target", "Guardian", "Call"};
  return absl::StrCat(kBirths[static_cast<int>(std::get<0>(info.param))], std::get<1>(info.param) == Freeze::kOn ? "Frozen" : "");
}

constexpr bool kHasSanitizer =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    true;
#else
    false;
#endif

INSTANTIATE_TEST_SUITE_P(Births, HygieneTest,
                         testing::Combine(testing::Values(Birth::kTarget, Birth::kGuardian, Birth::kCall),
                                          kHasSanitizer ? testing::Values(Freeze::kOff, Freeze::kAuto)
                                                        : testing::Values(Freeze::kOff, Freeze::kOn)),
                         NameOf);

// --- the tests ---

TEST_P(HygieneTest, TheServerHasOneThreadWhenItForksAndSoHasTheChild) { EXPECT_EQ(Code("LoadJoinsThreadsThatTookAllLocks", "CountThreads"), 0); }

TEST_P(HygieneTest, NoTwoChildrenDrawTheSameRandomNumbers) {
  for (int i = 0; i < 2; ++i) ASSERT_EQ(Code("LoadGenerators", "Draw", {Pack(path_)}), 0);
  const std::vector<std::string> lines = absl::StrSplit(Read(path_), '\n');
  ASSERT_EQ(lines.size(), 3u);
  const std::vector<std::string> first = absl::StrSplit(lines[0], ' '), second = absl::StrSplit(lines[1], ' ');
  ASSERT_EQ(first.size(), std::size(kGenerators));
  for (size_t i = 0; i < first.size(); ++i) {
    if (first[i] == "-") continue;  // It is not on this machine.
    EXPECT_NE(first[i], second[i]) << kGenerators[i];
  }
}

TEST_P(HygieneTest, NoChildFindsALockThatIsHeld) {
  for (int i = 0; i < 10; ++i) ASSERT_EQ(Code("LoadJoinsThreadsThatTookAllLocks", "UseEverythingHere"), 0);
}

TEST_P(HygieneTest, NoDescriptorThatAPreloadHasOpenedReachesAChild) {
  ASSERT_EQ(Code("LoadOpensDescriptors", "ListDescriptors", {Pack(path_)}), 0);
  const std::string seen = Read(path_);
  if (std::get<0>(GetParam()) == Birth::kCall) {
    EXPECT_EQ(seen, "0 1 2 ");
    return;
  }
  // As one that no server has borne.
  ASSERT_TRUE(Context(StartMethod::kSpawn).CallByName({}, "ListDescriptors", {Pack(path_)}).ok());
  EXPECT_EQ(seen, Read(path_));
}

TEST_P(HygieneTest, SignalsAreAsInANewProcessAndNoneIsPending) { EXPECT_EQ(Code("LoadChangesSignals", "CheckSignals"), 0); }

TEST_P(HygieneTest, NoTimerOfAPreloadIsThere) { EXPECT_EQ(Code("LoadSetsTimers", "CheckTimers"), 0); }

TEST_P(HygieneTest, NobodyTakesTheChildForTheServer) { EXPECT_EQ(Code("LoadLooksWhoItIs", "CheckWhoIAm"), 0); }

TEST_P(HygieneTest, ASecretThatIsNotToBeForkedIsNotThere) { EXPECT_EQ(Code("LoadSecret", "LookForSecret"), 0); }

// The child may be at any step of its birth when its parent is killed, before it has asked the kernel to be told of that, too.
TEST(KeeperDeathTest, AKeeperThatIsKilledAtAnyMomentLeavesNoChild) {
  std::string folder = absl::StrCat(testing::TempDir(), "/brood-hygiene-XXXXXX");
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string fifo = folder + "/fifo", said = folder + "/said";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  Server server = Server::Start().value();
  ASSERT_EQ(server.Call("TellSupervisor", {Pack(said)})->exit_code(), 0);
  const int supervisor = std::stoi(Read(said));
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(server.Send("HoldFifo", {Pack(fifo)}).ok());
    // So that each round meets another step.
    for (int spin = 0; spin < i * 20; ++spin) (void)getppid();
    for (const std::string_view child :
         absl::StrSplit(Read(absl::StrCat("/proc/", supervisor, "/task/", supervisor, "/children")), ' ', absl::SkipEmpty())) {
      if (Read(absl::StrCat("/proc/", child, "/comm")) == "brood-keeper\n") kill(std::stoi(std::string(child)), SIGKILL);
    }
    EXPECT_TRUE(std::holds_alternative<Lost>(server.Next()->second.ending));
    // Whoever still is there holds the FIFO, or is about to open it.
    const UniqueFd reader(open(fifo.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    UniqueFd writer(open(fifo.c_str(), O_WRONLY | O_CLOEXEC));
    const_cast<UniqueFd&>(reader).reset();
    pollfd polled = {writer.get(), 0, 0};
    ASSERT_EQ(poll(&polled, 1, 20'000), 1) << i;
  }
  unlink(fifo.c_str());
  unlink(said.c_str());
  rmdir(folder.c_str());
}

}  // namespace
}  // namespace brood
