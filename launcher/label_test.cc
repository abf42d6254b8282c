// Labels of security modules. That they hold is seen where AppArmor runs and has the profiles of tests/guest/label_profiles: in the
// guest (tools/test guest). Elsewhere that their absence is told.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/process.h"
#include "launcher/set_up_faults.h"
#include "sandbox/plan_label.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

constexpr char kProfile[] = "brood-test-label";
constexpr char kReads[] = "cat /proc/self/attr/current; cat \"$0/allowed\"; cat \"$0/refused-by-label\" || echo refused; cat \"$0/refused-by-caller\" || echo refused";

void DoesNothing() {}
BROOD_TARGET(DoesNothing);

std::string TextOf(const UniqueFd& fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = pread(fd.get(), buffer, sizeof(buffer), static_cast<off_t>(text.size()))) > 0;) text.append(buffer, static_cast<size_t>(n));
  return text;
}

class LabelTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/brood-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    ASSERT_EQ(chmod(pattern, 0755), 0);
    directory_ = pattern;
    for (const char* name : {"allowed", "refused-by-label", "refused-by-caller"}) std::ofstream(absl::StrCat(directory_, "/", name)) << name << "\n";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Policy Labelled(const std::string& label) const {
    Policy policy = BuiltinPolicy(GetParam()).value();
    if (policy.namespaces.contains(Layer::kMount)) policy.files.push_back({.source = directory_, .destination = directory_});
    policy.label = label;
    return policy;
  }

  // What it printed, or why it did not run.
  std::string Run(const Policy& policy, const Context* context = nullptr) {
    const absl::StatusOr<std::shared_ptr<const CompiledPolicy>> compiled = CompilePolicy(policy);
    if (!compiled.ok()) return absl::StrCat("not compiled: ", compiled.status().message());
    LaunchOptions options;
    options.argv = {"sh", "-c", kReads, directory_};
    options.policy = *compiled;
    options.stdin_spec = options.stderr_spec = Stdio::Null();
    options.stdout_spec = Stdio::Capture();
    absl::StatusOr<Process> process = context != nullptr ? context->Launch(options) : Process::Launch(options);
    if (!process.ok()) return absl::StrCat("not launched: ", process.status().message());
    const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(60));
    if (!outcome.ok()) return outcome.status().ToString();
    const auto enforced = outcome->enforced.find(Layer::kLabel);
    enforced_ = enforced == outcome->enforced.end() ? "" : enforced->second;
    return outcome->ok() ? TextOf(process->TakeStdout()) : brood::TextOf(*outcome);
  }

  std::string directory_;
  std::string enforced_;
};
INSTANTIATE_TEST_SUITE_P(Policies, LabelTest, testing::Values("strict", "default", "none"), [](const auto& param) { return param.param; });

constexpr char kHeld[] = "brood-test-label (enforce)\nallowed\nrefused\nrefused-by-caller\n";

// The list of them is for root alone: what a process that asks for it is answered.
bool IsLoaded(const std::string& profile) {
  const std::string text = absl::StrCat("exec ", profile);
  const pid_t child = fork();
  if (child == 0) {
    const int file = open("/proc/thread-self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
    _exit(file >= 0 && write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status == 0;
}

#define BROOD_NEEDS_PROFILES() \
  if (!IsLoaded(kProfile)) GTEST_SKIP() << "needs AppArmor with the profiles of tests/guest/label_profiles"

TEST_P(LabelTest, AProgramIsRefusedWhatItsProfileRefuses) {
  BROOD_NEEDS_PROFILES();
  EXPECT_EQ(Run(Labelled(kProfile)), kHeld);
  EXPECT_EQ(enforced_, "AppArmor, brood-test-label");
  EXPECT_EQ(Run(Labelled("")), "unconfined\nallowed\nrefused-by-label\nrefused-by-caller\n") << "or the test proves nothing";
  EXPECT_EQ(enforced_, "");
}

TEST_P(LabelTest, SoIsEachThatIsBornInAKeptSandbox) {
  BROOD_NEEDS_PROFILES();
  const Context context(StartMethod::kForkServer);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Run(Labelled(kProfile), &context), kHeld);
    EXPECT_EQ(enforced_, "AppArmor, brood-test-label");
    EXPECT_EQ(Run(Labelled(""), &context), "unconfined\nallowed\nrefused-by-label\nrefused-by-caller\n");
  }
}

TEST_P(LabelTest, AProfileThatIsNotLoadedIsAnErrorThatNamesIt) {
  BROOD_NEEDS_PROFILES();
  const std::string expected = absl::StrCat("label|", ENOENT, "|no such profile is loaded; apparmor_parser -r FILE loads those of a file: brood-test-nowhere");
  EXPECT_EQ(Run(Labelled("brood-test-nowhere")), expected);
  // A sandbox that cannot be kept is one of its own, which tells.
  const Context context(StartMethod::kForkServer);
  const std::string kept = Run(Labelled("brood-test-nowhere"), &context);
  EXPECT_TRUE(absl::StrContains(kept, "no such profile is loaded")) << kept;
}

TEST_P(LabelTest, AProfileThatIsNotEnforcedIsAcceptedByNameAlone) {
  BROOD_NEEDS_PROFILES();
  const std::string refused = Run(Labelled("brood-test-complain"));
  EXPECT_TRUE(absl::StartsWith(refused, "label|0|expected brood-test-complain to be enforced, and it is not")) << refused;
  Policy policy = Labelled("brood-test-complain");
  policy.allow_weaker.insert(Layer::kLabel);
  const std::string told = Run(policy);
  // Of what it executes it makes a profile for itself, to complain about.
  EXPECT_TRUE(absl::StartsWith(told, "brood-test-complain")) << told;
  EXPECT_TRUE(absl::EndsWith(told, "(complain)\nallowed\nrefused-by-label\nrefused-by-caller\n")) << told;
}

// A profile cannot be left under no_new_privs, but another can be had besides, if the first allows that.
TEST_P(LabelTest, IsHadBesidesTheCallersOwn) {
  BROOD_NEEDS_PROFILES();
  EXPECT_EQ(Run(Labelled(absl::StrCat("&", kProfile))), "brood-test-label//&unconfined (enforce)\nallowed\nrefused\nrefused-by-caller\n");
  int report[2];
  ASSERT_EQ(pipe2(report, O_CLOEXEC), 0);
  const pid_t caller = fork();
  if (caller == 0) {
    const int own = open("/proc/self/attr/apparmor/current", O_WRONLY | O_CLOEXEC);
    constexpr std::string_view kChange = "changeprofile brood-test-caller";
    std::string text = "no change of profile";
    if (write(own, kChange.data(), kChange.size()) == static_cast<ssize_t>(kChange.size())) {
      close(own);
      text = Run(Labelled(absl::StrCat("&", kProfile)));
    }
    _exit(write(report[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  close(report[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(report[0], buffer, sizeof(buffer))) > 0;) text.append(buffer, static_cast<size_t>(n));
  close(report[0]);
  int status = 0;
  ASSERT_EQ(waitpid(caller, &status, 0), caller);
  EXPECT_TRUE(absl::EndsWith(text, "(enforce)\nallowed\nrefused\nrefused\n")) << text;
  EXPECT_TRUE(absl::StrContains(text, "brood-test-caller")) << text;
}

TEST_P(LabelTest, WithoutAModuleTheLaunchIsRefusedWithTheRemedy) {
  const LabelSupport support = FindLabelSupport();
  if (support.why.empty()) GTEST_SKIP() << "here one runs: " << support.by_what;
  EXPECT_EQ(Run(Labelled(kProfile)), absl::StrCat("not compiled: label: ", support.why, "; ", support.remedy, "; or accept the weaker form with --allow-weaker label"));
  if (support.module != LabelStep::Module::kNone) return;
  Policy policy = Labelled(kProfile);
  policy.allow_weaker.insert(Layer::kLabel);
  const std::string told = Run(policy);
  EXPECT_TRUE(absl::StrContains(told, "allowed\nrefused-by-label\nrefused-by-caller\n")) << told;
  EXPECT_EQ(enforced_, "weaker: absent, neither AppArmor nor SELinux runs here");
}

TEST_P(LabelTest, AFunctionIsRefusedSinceItIsNotExecuted) {
  Policy policy = Labelled(kProfile);
  policy.allow_weaker.insert(Layer::kLabel);
  LaunchOptions options;
  const auto compiled = CompilePolicy(policy);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  options.policy = *compiled;
  for (const StartMethod method : {StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer}) {
    const absl::StatusOr<Process> process = Context(method).StartByName(options, "DoesNothing", {});
    ASSERT_FALSE(process.ok()) << StartMethodName(method);
    EXPECT_EQ(process.status().message(), "label: a function is not executed, by which a process gets its label; run a program");
  }
}

// The calls by which it is set.
using LabelFailureTest = SetUpFailureTest;

void WantLabel(Policy& policy, const std::string&) { policy.label = kProfile; }

TEST_F(LabelFailureTest, EndsTheLaunchAndIsTold) {
  BROOD_NEEDS_PROFILES();
  constexpr uint32_t kWritten = sizeof("exec brood-test-label") - 1;
  ExpectEndsTheLaunch({.name = "Write", .number = SYS_write, .error = EACCES, .step = "label", .argument = 2, .value = kWritten, .wants = WantLabel},
                      absl::StrCat("label|", EACCES, "|brood's own profile allows no change to it: brood-test-label"));
  ExpectEndsTheLaunch({.name = "WrittenInPart", .number = SYS_write, .error = 0, .step = "label", .argument = 2, .value = kWritten, .wants = WantLabel}, "label|5|write ");
  ExpectEndsTheLaunch({.name = "ReadBack", .number = SYS_pread64, .error = EINVAL, .step = "label", .argument = 2, .value = 1023, .wants = WantLabel},
                      absl::StrCat("label|", EINVAL, "|expected brood-test-label, seen none"));
}

}  // namespace
}  // namespace brood
