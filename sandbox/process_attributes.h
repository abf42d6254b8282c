// Attributes of each process of a child that are neither a limit nor a layer: priority, umask and the like.
//
//   policy.process.nice = 10;
//   BROOD_ASSIGN_OR_RETURN(policy.process.umask, ParseUmask("027"));
//
// What is not set is as it is at the child's start anyway: the caller's.
#ifndef BROOD_SANDBOX_PROCESS_ATTRIBUTES_H_
#define BROOD_SANDBOX_PROCESS_ATTRIBUTES_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace brood {

struct ProcessAttributes {
  // -20 to 19. Lower than the caller's is an error of the launch, whoever the caller is: a child has no right to it. setpriority(2)
  std::optional<int> nice;
  // -1000 to 1000; lower than the caller's likewise. The tree's, its init included. proc(5), /proc/pid/oom_score_adj
  std::optional<int> oom_score_adj;
  std::optional<uint32_t> umask;      // 0 to 0777.
  std::set<std::string> personality;  // Flags that are added to the caller's, by PersonalityFlag(). personality(2)
  bool disable_tsc = false;           // rdtsc and rdtscp are SIGSEGV, for good. Needs the system call filter. x86-64 only.
  bool deny_write_execute = false;    // No memory becomes executable that was writable, for good. PR_SET_MDWE(2const), Linux 6.3.

  bool operator==(const ProcessAttributes&) const = default;
};

// The flag of "addr_no_randomize", "addr_compat_layout" or "uname26"; 0: there is none of that name.
uint32_t PersonalityFlag(std::string_view name);

// Errors: InvalidArgument, what was expected.
absl::StatusOr<int> ParseNice(std::string_view text);
absl::StatusOr<int> ParseOomScoreAdj(std::string_view text);
absl::StatusOr<uint32_t> ParseUmask(std::string_view text);                   // Octal: "027".
absl::StatusOr<std::set<std::string>> ParsePersonality(std::string_view text);  // "addr_no_randomize,uname26".

// What cannot be. Errors: InvalidArgument, naming the field.
absl::Status CheckAttributes(const ProcessAttributes& attributes);

// "nice 10, umask 0027"; empty: none is set.
std::string AttributesText(const ProcessAttributes& attributes);

}  // namespace brood

#endif  // BROOD_SANDBOX_PROCESS_ATTRIBUTES_H_
