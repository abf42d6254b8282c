// What each layer of a sandbox costs by itself, and how soon a caller hears of a violation.
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "benchmarks/contests.h"
#include "cli/runfiles.h"
#include "launcher/context.h"
#include "launcher/process.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

absl::StatusOr<std::string> TestProgram(const std::string& name) {
  BROOD_ASSIGN_OR_RETURN(const std::string programs, RunfilesDirectory("tests/programs/bin"));
  // Runfiles are symbolic links, which would dangle in a sandbox.
  return std::filesystem::canonical(programs + "/" + name).string();
}

// Where whoever a layer makes of the caller can run it, as long as this lives.
class SharedProgram {
 public:
  static absl::StatusOr<SharedProgram> Copy(const std::string& name) {
    BROOD_ASSIGN_OR_RETURN(const std::string from, TestProgram(name));
    SharedProgram shared;
    char pattern[] = "/tmp/brood-bench-XXXXXX";
    if (mkdtemp(pattern) == nullptr) return ErrnoStatus(errno, "mkdtemp", pattern);
    shared.directory_ = pattern;
    std::error_code error;
    std::filesystem::copy_file(from, shared.path(), error);
    if (error) return ErrnoStatus(error.value(), "copy", from);
    if (chmod(pattern, 0755) != 0 || chmod(shared.path().c_str(), 0755) != 0) return ErrnoStatus(errno, "chmod", pattern);
    return shared;
  }
  ~SharedProgram() {
    std::error_code ignored;
    if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
  }
  SharedProgram(SharedProgram&& other) noexcept : directory_(std::exchange(other.directory_, {})) {}
  SharedProgram& operator=(SharedProgram&&) = delete;
  std::string path() const { return directory_ + "/program"; }

 private:
  SharedProgram() = default;
  std::string directory_;
};

// One that cannot be had here, or only with others, says so in its row.
void AddLayer(Contest& contest, const std::string& name, const Policy& policy, const std::string& program) {
  const absl::StatusOr<std::shared_ptr<const CompiledPolicy>> compiled = CompilePolicy(policy);
  if (!compiled.ok()) return contest.Skip(name, std::string(compiled.status().message()));
  LaunchOptions options;
  options.argv = {program};
  options.policy = *compiled;
  options.stdin_spec = options.stdout_spec = options.stderr_spec = Stdio::Null();
  contest.Add(name, [options] {
    BROOD_ASSIGN_OR_RETURN(Process process, Process::Launch(options));
    BROOD_ASSIGN_OR_RETURN(const Outcome outcome, process.Join());
    return outcome.ok() ? absl::OkStatus() : absl::InternalError(outcome.ToString());
  });
}

// From just before its last word to that its caller has the outcome. The clocks are one: CLOCK_MONOTONIC.
absl::StatusOr<double> MicrosecondsToTell(absl::StatusOr<Process> process, bool violates) {
  BROOD_RETURN_IF_ERROR(process.status());
  BROOD_ASSIGN_OR_RETURN(const Outcome outcome, process->Join());
  const uint64_t told = child::MonotonicNanoseconds();
  const std::string expected = violates ? "violation" : "ok";
  if (outcome.StatusWord() != expected) return absl::InternalError(outcome.ToString());
  char text[32] = {};
  uint64_t said = 0;
  const UniqueFd out = process->TakeStdout();
  if (pread(out.get(), text, sizeof(text) - 1, 0) <= 0 || !absl::SimpleAtoi(text, &said) || said > told) {
    return absl::InternalError("the program has not said when");
  }
  return static_cast<double>(told - said) / 1000;
}

}  // namespace

absl::StatusOr<Contest> LaunchInEachLayer(int rounds) {
  BROOD_ASSIGN_OR_RETURN(const SharedProgram shared, SharedProgram::Copy("does_nothing"));
  const std::string program = shared.path();
  BROOD_ASSIGN_OR_RETURN(const Policy none, BuiltinPolicy("none"));
  BROOD_ASSIGN_OR_RETURN(const Policy strict, BuiltinPolicy("strict"));
  Contest contest("start in one layer", "none");
  AddLayer(contest, "none", none, program);
  for (const Layer layer : {Layer::kUser, Layer::kPid, Layer::kMount, Layer::kNet, Layer::kIpc, Layer::kUts, Layer::kCgroup, Layer::kTime}) {
    Policy policy = none;
    policy.namespaces = {layer};
    if (layer == Layer::kNet) policy.network.mode = NetworkMode::kNone;
    if (layer == Layer::kMount) policy.files.push_back({.source = "/", .destination = "/"});
    AddLayer(contest, absl::StrCat(LayerName(layer), " namespace"), policy, program);
  }
  Policy policy = none;
  policy.drop_privileges = true;
  AddLayer(contest, "no privileges", policy, program);
  policy.filter_syscalls = true;
  policy.syscalls = strict.syscalls;
  policy.unlisted = strict.unlisted;
  policy.unlisted_errno = strict.unlisted_errno;
  AddLayer(contest, "no privileges, filter of strict", policy, program);
  policy = none;
  policy.drop_privileges = true;
  policy.landlock = LandlockUse::kAvailable;
  AddLayer(contest, "no privileges, Landlock", policy, program);
  policy = none;
  policy.speculation = SpeculationControl::kMitigate;
  AddLayer(contest, "speculation mitigated", policy, program);
  policy = none;
  policy.limits.memory_bytes = uint64_t{1} << 30;
  AddLayer(contest, "limit of memory", policy, program);
  policy.limits.processes = 64;
  AddLayer(contest, "limits of memory and processes", policy, program);
  contest.Run(rounds);
  return contest;
}

absl::StatusOr<Contest> TellOfViolations(int rounds) {
  BROOD_ASSIGN_OR_RETURN(const std::string program, TestProgram("violates_now"));
  BROOD_ASSIGN_OR_RETURN(Policy policy, BuiltinPolicy("strict"));
  policy.files.push_back({.source = program, .destination = "/program"});
  LaunchOptions options;
  BROOD_ASSIGN_OR_RETURN(options.policy, CompilePolicy(policy));
  options.argv = {"/program", "exit"};
  options.stdin_spec = options.stderr_spec = Stdio::Null();
  options.stdout_spec = Stdio::Capture();
  LaunchOptions violation = options;
  violation.argv[1] = "violate";
  LaunchOptions with_stack = violation;
  with_stack.violation_stack = true;
  const Context kept(StartMethod::kForkServer);
  Contest contest("tell of the end", "an exit");
  contest.AddTimed("an exit", [=] { return MicrosecondsToTell(Process::Launch(options), false); });
  contest.AddTimed("a violation", [=] { return MicrosecondsToTell(Process::Launch(violation), true); });
  contest.AddTimed("a violation, with its stack", [=] { return MicrosecondsToTell(Process::Launch(with_stack), true); });
  contest.AddTimed("a violation, kept sandbox", [=] { return MicrosecondsToTell(kept.Launch(violation), true); });
  contest.Run(rounds);
  return contest;
}

}  // namespace brood
