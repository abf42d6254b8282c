// What a policy says of speculation, seen in its program. Few machines have both controls, so that there is a stand-in for the
// kernel besides: it answers the prctl of all that a launch starts, by a filter that the test puts around it.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <iterator>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "launcher/process.h"
#include "sandbox/plan_speculation.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

std::string ReadAll(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) text.append(buffer, static_cast<size_t>(n));
  return text;
}

Policy Strict(SpeculationControl speculation) {
  Policy policy = BuiltinPolicy("strict").value();
  policy.speculation = speculation;
  return policy;
}

// "exited with code 0", what it printed, and what was enforced of speculation; or why nothing ran.
std::string Ran(const Policy& policy, const std::string& script) {
  const absl::StatusOr<std::shared_ptr<const CompiledPolicy>> compiled = CompilePolicy(policy);
  if (!compiled.ok()) return absl::StrCat("not compiled: ", compiled.status().message());
  LaunchOptions options;
  options.argv = {"sh", "-c", script};
  options.policy = *compiled;
  options.stdin_spec = options.stderr_spec = Stdio::Null();
  options.stdout_spec = Stdio::Capture();
  absl::StatusOr<Process> process = Process::Launch(options);
  if (!process.ok()) return absl::StrCat("not launched: ", process.status().message());
  const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(30));
  if (!outcome.ok()) return outcome.status().ToString();
  const std::string output = ReadAll(process->TakeStdout().get());
  const auto enforced = outcome->enforced.find(Layer::kSpeculation);
  return absl::StrCat(outcome->ToString(), "|", output, "|", enforced == outcome->enforced.end() ? "" : enforced->second);
}

constexpr char kStatus[] = "sh -c 'grep Spec /proc/self/status'";

bool HasControl(int answer) { return answer > 0 && (answer & PR_SPEC_PRCTL) != 0; }

TEST(SpeculationTest, MitigatedStoreBypassIsOffForGoodInWhatTheProgramStarts) {
  if (!HasControl(AskSpeculation().store_bypass)) GTEST_SKIP() << "this machine has no control of store bypass";
  Policy policy = Strict(SpeculationControl::kMitigate);
  policy.allow_weaker.insert(Layer::kSpeculation);
  const std::string told = Ran(policy, kStatus);
  EXPECT_TRUE(absl::StrContains(told, "Speculation_Store_Bypass:\tthread force mitigated")) << told;
  EXPECT_TRUE(absl::StrContains(told, "store bypass off for good")) << told;
  EXPECT_FALSE(absl::StrContains(Ran(Strict(SpeculationControl::kAllow), kStatus), "force mitigated")) << "or the test proves nothing";
}

TEST(SpeculationTest, MitigatedIndirectBranchesAreOffForGoodInWhatTheProgramStarts) {
  if (!HasControl(AskSpeculation().indirect_branch)) GTEST_SKIP() << "this machine has no control of indirect branches";
  Policy policy = Strict(SpeculationControl::kMitigate);
  policy.allow_weaker.insert(Layer::kSpeculation);
  const std::string told = Ran(policy, kStatus);
  EXPECT_TRUE(absl::StrContains(told, "SpeculationIndirectBranch:\tconditional force disabled")) << told;
}

TEST(SpeculationTest, AMachineWithoutAControlIsAnErrorThatNamesTheKindAndTheRemedy) {
  const SpeculationPlan here = PlanSpeculation(AskSpeculation());
  if (here.missing.empty()) GTEST_SKIP() << "this machine lacks nothing";
  const std::string told = Ran(Strict(SpeculationControl::kMitigate), "true");
  EXPECT_TRUE(absl::StartsWith(told, absl::StrCat("not compiled: speculation: ", here.missing))) << told;
  EXPECT_TRUE(absl::StrContains(told, "mitigations=off")) << told;
  EXPECT_TRUE(absl::EndsWith(told, "--allow-weaker speculation")) << told;
}

TEST(SpeculationTest, ItsAbsenceIsAcceptedByNameAndTold) {
  const SpeculationPlan here = PlanSpeculation(AskSpeculation());
  if (here.missing.empty()) GTEST_SKIP() << "this machine lacks nothing";
  Policy policy = Strict(SpeculationControl::kMitigate);
  policy.allow_weaker.insert(Layer::kSpeculation);
  const std::string told = Ran(policy, "true");
  EXPECT_TRUE(absl::StartsWith(told, "exited with code 0|")) << told;
  EXPECT_TRUE(absl::StrContains(told, "|weaker: ")) << told;
  EXPECT_TRUE(absl::EndsWith(told, here.missing)) << told;
}

TEST(SpeculationTest, NothingIsClaimedOfItWhereNothingWasAskedFor) {
  for (const SpeculationControl speculation : {SpeculationControl::kAllow, SpeculationControl::kKernel}) {
    EXPECT_EQ(Ran(Strict(speculation), "true"), "exited with code 0||");
  }
}

// In a process of its own, which a filter stays with; what `run` returns.
template <typename Function>
std::string InChild(Function run) {
  int report[2];
  EXPECT_EQ(pipe(report), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(report[0]);
    const std::string text = run();
    _exit(write(report[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  close(report[1]);
  std::string text = ReadAll(report[0]);
  close(report[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return text;
}

TEST(SpeculationTest, OnlyAllowKeepsTheKernelFromTurningItOffWithTheFilter) {
  // Whoever loads a filter with that flag is refused. seccomp(2), SECCOMP_FILTER_FLAG_SPEC_ALLOW
  const auto run = [](SpeculationControl speculation) {
    return InChild([speculation] {
      const sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 3),
                                    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
                                    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0, 1),
                                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
                                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
      const sock_fprog program = {std::size(filter), const_cast<sock_filter*>(filter)};
      if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) return std::string("no filter");
      return Ran(Strict(speculation), "true");
    });
  };
  EXPECT_EQ(run(SpeculationControl::kKernel), "exited with code 0||");
  const std::string told = run(SpeculationControl::kAllow);
  EXPECT_TRUE(absl::StrContains(told, "seccomp")) << told;
  EXPECT_FALSE(absl::StartsWith(told, "exited with code 0")) << told;
}

// A kernel with both controls, as far as prctl tells.
enum class StandIn {
  kHonest,
  kRefuses,  // To turn anything off.
  kLies,     // Says that it has turned off what it has not.
};

class AnsweringKernel {
 public:
  explicit AnsweringKernel(StandIn kind) : kind_(kind) {}

  // For this thread and all it starts from now on; the others are not answered.
  bool Surround() {
    const auto wanted = [](uint32_t option, uint8_t skip) { return sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, option, skip, 0); };
    const sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
                                  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),
                                  wanted(PR_GET_SPECULATION_CTRL, 2),
                                  wanted(PR_SET_SPECULATION_CTRL, 1),
                                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)};
    const sock_fprog program = {std::size(filter), const_cast<sock_filter*>(filter)};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) return false;
    // Before the filter, so that it is not under it.
    std::thread([this, begin = ready[0]] {
      int listener = -1;
      if (read(begin, &listener, sizeof(listener)) == sizeof(listener)) Answer(listener);
    }).detach();
    const int listener = static_cast<int>(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
    return listener >= 0 && write(ready[1], &listener, sizeof(listener)) == sizeof(listener);
  }

 private:
  void Answer(int listener) {
    bool off[2] = {};
    while (true) {
      alignas(8) char in[1024] = {};  // The kernel's records may grow. seccomp_unotify(2)
      alignas(8) char out[1024] = {};
      if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, in) != 0) {
        if (errno == EINTR || errno == ENOENT) continue;
        return;
      }
      const auto& call = *reinterpret_cast<const seccomp_notif*>(in);
      auto& answer = *reinterpret_cast<seccomp_notif_resp*>(out);
      answer.id = call.id;
      const uint64_t kind = call.data.args[1];
      if (kind > PR_SPEC_INDIRECT_BRANCH) {
        answer.error = -ENODEV;
      } else if (call.data.args[0] == PR_GET_SPECULATION_CTRL) {
        answer.val = static_cast<int64_t>(PR_SPEC_PRCTL | (off[kind] ? PR_SPEC_FORCE_DISABLE : PR_SPEC_ENABLE));
      } else if (kind_ == StandIn::kRefuses || call.data.args[2] != PR_SPEC_FORCE_DISABLE) {
        answer.error = -EPERM;
      } else {
        off[kind] = kind_ == StandIn::kHonest;
      }
      ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, out);
    }
  }

  const StandIn kind_;
};

std::string RunOn(StandIn kind, const Policy& policy) {
  return InChild([&] {
    AnsweringKernel kernel(kind);
    return kernel.Surround() ? Ran(policy, "true") : std::string("no filter");
  });
}

// Linux allows one listener in a process, and the stand-in is one.
Policy Unfiltered() {
  Policy policy = Strict(SpeculationControl::kMitigate);
  policy.filter_syscalls = false;
  policy.syscalls.clear();
  return policy;
}

TEST(SpeculationTest, OnAKernelWithBothControlsBothAreTurnedOffAndTold) {
  EXPECT_EQ(RunOn(StandIn::kHonest, Unfiltered()), "exited with code 0||store bypass off for good, indirect branches off for good");
}

TEST(SpeculationTest, AProgramWithoutAnyOtherLayerHasItToo) {
  Policy policy = BuiltinPolicy("none").value();
  policy.speculation = SpeculationControl::kMitigate;
  EXPECT_EQ(RunOn(StandIn::kHonest, policy), "exited with code 0||store bypass off for good, indirect branches off for good");
  EXPECT_TRUE(absl::StrContains(RunOn(StandIn::kRefuses, policy), "speculation")) << "else nothing was turned off";
}

TEST(SpeculationTest, AControlThatIsRefusedEndsTheLaunchBeforeTheProgram) {
  const std::string told = RunOn(StandIn::kRefuses, Unfiltered());
  EXPECT_TRUE(absl::StrContains(told, "speculation")) << told;
  EXPECT_TRUE(absl::StrContains(told, "turn store bypass off")) << told;
  EXPECT_FALSE(absl::StrContains(told, "exited with code")) << told;
}

TEST(SpeculationTest, AControlThatDidNothingIsReadBack) {
  const std::string told = RunOn(StandIn::kLies, Unfiltered());
  EXPECT_TRUE(absl::StrContains(told, "expected store bypass off for good")) << told;
  EXPECT_FALSE(absl::StrContains(told, "exited with code")) << told;
}

}  // namespace
}  // namespace brood
