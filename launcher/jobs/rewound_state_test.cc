// What a job can change outside of memory: each of it is put back, or retires the worker by name.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cfenv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/jobs/rewound_worker.h"

namespace brood {
namespace {

std::vector<int>* g_numbers = nullptr;
void Load() { g_numbers = new std::vector<int>(100'000, 7); }
BROOD_TARGET(Load);

// --- jobs: one change each. Their errno if it cannot be made here, or 0. ---

int ErrnoOf(long result) { return result < 0 ? errno : 0; }

int ChangeRoot() { return ErrnoOf(chroot("/tmp")); }
BROOD_TARGET(ChangeRoot);
int EnterNamespace() { return ErrnoOf(unshare(CLONE_NEWUTS)); }
BROOD_TARGET(EnterNamespace);
int BeNice() { return ErrnoOf(setpriority(PRIO_PROCESS, 0, 7)); }
BROOD_TARGET(BeNice);
int BeBatch() {
  const sched_param none = {};
  return ErrnoOf(sched_setscheduler(0, SCHED_BATCH, &none));
}
BROOD_TARGET(BeBatch);
int ChangePersonality() { return ErrnoOf(personality(ADDR_NO_RANDOMIZE)); }
BROOD_TARGET(ChangePersonality);
int ForbidDumps() { return ErrnoOf(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)); }
BROOD_TARGET(ForbidDumps);
int DieWithParent() { return ErrnoOf(prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0)); }
BROOD_TARGET(DieWithParent);
int BeSlack() { return ErrnoOf(prctl(PR_SET_TIMERSLACK, 12'345'678, 0, 0, 0)); }
BROOD_TARGET(BeSlack);
int OfferItselfToTheOomKiller() { return std::ofstream("/proc/self/oom_score_adj").write("333", 3).flush() ? 0 : EACCES; }
BROOD_TARGET(OfferItselfToTheOomKiller);
int LockWhatComes() { return ErrnoOf(mlockall(MCL_FUTURE)); }
BROOD_TARGET(LockWhatComes);
int ChangeIoPriority() { return ErrnoOf(syscall(SYS_ioprio_set, 1, 0, (2 << 13) | 7)); }
BROOD_TARGET(ChangeIoPriority);
int LeaveDaemon() {
  const pid_t between = fork();
  if (between == 0) {
    if (fork() == 0) {
      while (true) pause();
    }
    _exit(0);
  }
  return waitpid(between, nullptr, 0) == between ? 0 : errno;
}
BROOD_TARGET(LeaveDaemon);
int HandleWhatTheWorkerHandles() { return signal(SIGSYS, [](int) {}) == SIG_ERR ? errno : 0; }
BROOD_TARGET(HandleWhatTheWorkerHandles);
int JoinKeyring() { return ErrnoOf(syscall(SYS_keyctl, 1, nullptr)); }
BROOD_TARGET(JoinKeyring);

struct Case {
  int (*job)();
  const char* reason;
};

class RetiringJobTest : public testing::TestWithParam<Case> {};

Context Frozen() { return Context(StartMethod::kForkServer, {.preload = {"Load"}, .freeze = Freeze::kOn}); }

int Pid() { return getpid(); }
BROOD_TARGET(Pid);

TEST_P(RetiringJobTest, RetiresItsWorkerByName) {
  RewoundWorker worker = RewoundWorker::Create(Frozen()).value();
  const int first = worker.Call(Pid).value();
  const int error = worker.Call(GetParam().job).value();
  if (error != 0) GTEST_SKIP() << GetParam().reason << ": " << strerror(error);
  ASSERT_EQ(worker.Settle(), absl::OkStatus());
  EXPECT_EQ(worker.retired(), (std::map<std::string, uint64_t>{{GetParam().reason, 1}}));
  EXPECT_NE(worker.Call(Pid).value(), first);
  EXPECT_EQ(worker.retired().size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(
    Jobs, RetiringJobTest,
    testing::Values(Case{ChangeRoot, "root directory"}, Case{EnterNamespace, "namespaces"}, Case{BeNice, "scheduling"},
                    Case{BeBatch, "scheduling"}, Case{ChangePersonality, "personality"}, Case{ForbidDumps, "dumpable flag"},
                    Case{DieWithParent, "signals (at the parent's death)"}, Case{BeSlack, "timer slack"},
                    Case{OfferItselfToTheOomKiller, "oom_score_adj"}, Case{LockWhatComes, "locked memory"},
                    Case{ChangeIoPriority, "I/O priority"}, Case{LeaveDaemon, "children"},
                    Case{HandleWhatTheWorkerHandles, "signals (handlers)"}, Case{JoinKeyring, "keyrings"}));

// --- what is put back ---

void RoundUp() {
  std::fesetround(FE_UPWARD);
  std::feraiseexcept(FE_DIVBYZERO);
}
BROOD_TARGET(RoundUp);
bool RoundsAsEver() { return std::fegetround() == FE_TONEAREST && std::fetestexcept(FE_DIVBYZERO) == 0; }
BROOD_TARGET(RoundsAsEver);

TEST(RewoundStateTest, AJobCalculatesAsIfThereHadBeenNoneBefore) {
  RewoundWorker worker = RewoundWorker::Create(Frozen()).value();
  const int first = worker.Call(Pid).value();
  for (int i = 0; i < 6; ++i) {
    ASSERT_EQ(worker.Call(RoundUp), absl::OkStatus());
    EXPECT_TRUE(worker.Call(RoundsAsEver).value()) << i;
  }
  EXPECT_EQ(worker.Call(Pid).value(), first);
}

#ifdef __x86_64__
constexpr uint16_t kSinglePrecision = 0x007f;
void CalculateRoughly() {
  const uint16_t control = kSinglePrecision;
  asm volatile("fldcw %0" : : "m"(control));
  const uint32_t vectors = 0x1f80 | 0x8040;  // What is nearly zero is zero.
  asm volatile("ldmxcsr %0" : : "m"(vectors));
}
BROOD_TARGET(CalculateRoughly);
bool CalculatesExactly() {
  uint16_t control = 0;
  uint32_t vectors = 0;
  asm volatile("fnstcw %0" : "=m"(control));
  asm volatile("stmxcsr %0" : "=m"(vectors));
  return control != kSinglePrecision && (vectors & 0x8040) == 0;
}
BROOD_TARGET(CalculatesExactly);

TEST(RewoundStateTest, PrecisionIsPutBack) {
  RewoundWorker worker = RewoundWorker::Create(Frozen()).value();
  ASSERT_EQ(worker.Call(CalculateRoughly), absl::OkStatus());
  EXPECT_TRUE(worker.Call(CalculatesExactly).value());
}

// PR_SYS_DISPATCH_OFF of linux/prctl.h.
int CallUnseen() { return ErrnoOf(prctl(PR_SET_SYSCALL_USER_DISPATCH, 0, 0, 0, 0)); }
BROOD_TARGET(CallUnseen);
void ChangeMask() { umask(0123); }
BROOD_TARGET(ChangeMask);

TEST(RewoundStateTest, AJobThatHidesCallsHidesNoneOfTheNext) {
  RewoundWorker worker = RewoundWorker::Create(Frozen()).value();
  if (worker.Call(CallUnseen).value() != 0) GTEST_SKIP() << "no Syscall User Dispatch here";
  ASSERT_EQ(worker.Call(ChangeMask), absl::OkStatus());
  ASSERT_EQ(worker.Settle(), absl::OkStatus());
  EXPECT_EQ(worker.retired(), (std::map<std::string, uint64_t>{{"file mode mask", 1}}));
}
#endif

void KeepImageFromForks() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (!absl::StrContains(line, "brood-frozen") || !absl::StrContains(line, " rw-p ")) continue;
    char* end = nullptr;
    const uintptr_t start = strtoul(line.c_str(), &end, 16);
    madvise(reinterpret_cast<void*>(start), strtoul(end + 1, nullptr, 16) - start, MADV_DONTFORK);
  }
}
BROOD_TARGET(KeepImageFromForks);
bool ForkHasTheImage() {
  const pid_t pid = fork();
  if (pid == 0) _exit((*g_numbers)[99'999] == 7 ? 0 : 1);
  int status = -1;
  waitpid(pid, &status, 0);
  return status == 0;
}
BROOD_TARGET(ForkHasTheImage);

TEST(RewoundStateTest, AForkOfALaterJobHasAllOfTheImage) {
  RewoundWorker worker = RewoundWorker::Create(Frozen()).value();
  ASSERT_EQ(worker.Call(KeepImageFromForks), absl::OkStatus());
  EXPECT_TRUE(worker.Call(ForkHasTheImage).value());
}

TEST(RewoundStateTest, AForkOfItsOwnerCannotUseItAndDisturbsNothing) {
  RewoundWorker worker = RewoundWorker::Create(Frozen()).value();
  const int first = worker.Call(Pid).value();
  const pid_t fork_of_owner = fork();
  if (fork_of_owner == 0) {
    const bool refused = absl::IsFailedPrecondition(worker.Call(Pid).status()) && absl::IsFailedPrecondition(worker.Settle());
    { const RewoundWorker ends = std::move(worker); }
    _exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(fork_of_owner, &status, 0), fork_of_owner);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(worker.Call(Pid).value(), first);
}

size_t Size(const std::string& text) { return text.size(); }
BROOD_TARGET(Size);

TEST(RewoundStateTest, AWorkerThatDoesNotTakeALargeJobIsKilledInTime) {
  RewoundWorker worker = RewoundWorker::Create(Frozen(), {.launch = {}, .timeout = absl::Milliseconds(300)}).value();
  ASSERT_EQ(kill(worker.Call(Pid).value(), SIGSTOP), 0);
  EXPECT_EQ(worker.Call(Size, std::string(8 << 20, 'x')).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(worker.Call(Size, std::string(8 << 20, 'x')).value(), size_t{8} << 20);
}

}  // namespace
}  // namespace brood
