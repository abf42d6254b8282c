#include "sandbox/plan_bpf.h"

#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "sandbox/bpf_answers.h"
#include "sandbox/bpf_check.h"

namespace brood {
namespace {

// Of all filters of a process, each with four more. kernel/seccomp.c, MAX_INSNS_PER_PATH
constexpr size_t kMaxTogether = 32768;
constexpr size_t kPenalty = 4;

void AnswerSeccomp(uint32_t answer, std::vector<sock_filter>& program) {
  const sock_filter prelude[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NativeArch(), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, answer),
  };
  static_assert(sizeof(prelude) / sizeof(prelude[0]) == kBpfPrelude);
  program.insert(program.begin(), std::begin(prelude), std::end(prelude));
}

// What brood calls in a function's process between the first filter and the target, without which it could not even say why not.
std::string FunctionsNeed(const BpfFile& file, const std::vector<sock_filter>& program) {
  constexpr std::pair<long, std::string_view> kNeeded[] = {
      {SYS_read, "read"}, {SYS_write, "write"}, {SYS_close, "close"}, {SYS_wait4, "wait4"}, {SYS_exit_group, "exit_group"}};
  for (const auto& [number, name] : kNeeded) {
    if (PossibleAnswers(program, static_cast<uint32_t>(number)).always_allows()) continue;
    return absl::StrCat("bpf_files: ", file.path, ": a function cannot be born without ", name, ", which this filter does not always allow; programs can");
  }
  return "";
}

bool Allows(const std::vector<sock_filter>& program, long number) { return PossibleAnswers(program, static_cast<uint32_t>(number)).always_allows(); }

}  // namespace

absl::StatusOr<std::string> PlanBpf(const Policy& policy, PlatformPlan* plan) {
  const std::vector<BpfFile>& files = policy.bpf_files;
  if (policy.process.disable_tsc) plan->functions_need = "process: disable_tsc: a function reads the clock by the time stamp counter; programs that do not can be run";
  if (files.empty()) return "";
  if (!policy.drop_privileges) return absl::InvalidArgumentError("bpf_files: needs drop_privileges (no_new_privs). seccomp(2)");
  if (files.size() > kMaxBpfFiles) return absl::InvalidArgumentError(absl::StrCat("bpf_files: ", files.size(), " of them; at most ", kMaxBpfFiles));
  std::vector<sock_filter>& own = plan->filter.instructions;
  std::vector<std::string> by;
  size_t together = 0;
  bool lets_read = true;
  for (const BpfFile& file : files) {
    absl::StatusOr<std::vector<sock_filter>> read = ReadBpf(file);
    if (!read.ok()) return Annotate(read.status(), "bpf_files");
    by.push_back(absl::StrCat("that of ", file.path, ", ", read->size(), " instructions"));
    together += read->size() + kPenalty;
    // To be refused by the policy's own filter, clone3 must come to it: it is called to see that the filter is there.
    if (Stricter(SECCOMP_RET_ERRNO, PossibleAnswers(*read, SYS_clone3).strictest()) != SECCOMP_RET_ERRNO) plan->further_decide_clone3 = true;
    if (plan->functions_need.empty()) plan->functions_need = FunctionsNeed(file, *read);
    lets_read = lets_read && Allows(*read, SYS_pread64) && Allows(*read, SYS_close);
    plan->further_programs.push_back(*std::move(read));
  }
  if (together + own.size() + kPenalty > kMaxTogether) {
    return absl::InvalidArgumentError(absl::StrCat("bpf_files: ", together, " instructions together with the policy's own ", own.size(), "; the kernel takes ", kMaxTogether));
  }

  std::vector<sock_filter>& last = own.empty() ? plan->further_programs.back() : own;
  uint32_t answer = SECCOMP_RET_ALLOW;
  for (std::vector<sock_filter>& program : plan->further_programs) {
    if (&program == &last) continue;
    answer = Stricter(answer, PossibleAnswers(program, SYS_seccomp).strictest());
    AnswerSeccomp(SECCOMP_RET_ALLOW, program);
  }
  if (answer != SECCOMP_RET_ALLOW) {
    // Where the last decides by arguments, all get the strictest of its answers: narrower, of a call that few programs make.
    answer = Stricter(answer, PossibleAnswers(last, SYS_seccomp).strictest());
    if (last.size() + kBpfPrelude > BPF_MAXINSNS) return absl::InvalidArgumentError("bpf_files: the policy's own filter is too long to have others beside it");
    AnswerSeccomp(answer, last);
  }
  for (size_t i = 0; i < files.size(); ++i) {
    const std::vector<sock_filter>& program = plan->further_programs[i];
    plan->further_filters.push_back({.path = plan->texts.emplace_back(files[i].path).c_str(), .program = program.data(), .length = static_cast<uint16_t>(program.size())});
  }
  plan->child.further_filters_let_read = lets_read;
  return absl::StrJoin(by, "; ");
}

}  // namespace brood
