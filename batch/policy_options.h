// What a command line or a job line changes in a policy, and how it is laid on top.
//
//   BROOD_ASSIGN_OR_RETURN(options.files.emplace_back(), ParseBindRule("data:/data", FileRule::Access::kReadOnly));
//   BROOD_RETURN_IF_ERROR(ApplyPolicyOptions(options, policy));
#ifndef BROOD_BATCH_POLICY_OPTIONS_H_
#define BROOD_BATCH_POLICY_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "sandbox/policy.h"

namespace brood {

struct PolicyOptions {
  std::vector<FileRule> files;
  std::vector<std::string> no_exec;  // Places of file rules, these or the policy's, where nothing is executed.
  std::optional<Network> network;
  std::optional<std::string> hostname;
  std::optional<EnvironmentBase> environment;
  Limits limits;
  LayerSet allow_weaker;
  ProcessAttributes process;  // Those that are set.
  std::vector<BpfFile> bpf_files;
  std::optional<std::vector<uint32_t>> groups;
  std::optional<std::string> label;
  std::optional<ProcAccess> proc;
};

// Lays `options` over `policy`: a nearer rule replaces the one for the same place, a limit the same limit, and limits
// become required. A network mode brings or drops the network namespace that it needs, a host name the uts namespace.
//
// Errors: InvalidArgument (file rules on a policy that shows the whole machine; they would not hide anything; no rule at one of
// `no_exec`).
absl::Status ApplyPolicyOptions(const PolicyOptions& options, Policy& policy);

// Lays those that are set in `nearer` over `process`.
void ApplyAttributes(const ProcessAttributes& nearer, ProcessAttributes& process);

// Lays the limits that are set in `nearer` over `limits`.
void ApplyLimits(const Limits& nearer, Limits& limits);

// "SRC[:DEST]". SRC may be relative to the current directory, DEST is absolute and defaults to SRC's absolute path. The
// split is at the first ":/"; a path with those two characters needs a policy file.
//
// Errors: InvalidArgument.
absl::StatusOr<FileRule> ParseBindRule(std::string_view text, FileRule::Access access);

// "DEST[:SIZE]". Errors: InvalidArgument.
absl::StatusOr<FileRule> ParseTmpfsRule(std::string_view text);

// "SRC[:DEST][:SIZE]": as a bind rule, and a size as of a tmpfs. Errors: InvalidArgument.
absl::StatusOr<FileRule> ParseOverlayRule(std::string_view text);

// "CHANGES:SRC[:DEST]": a bind rule behind the directory in which changes are kept, whose path has no colon. Errors: InvalidArgument.
absl::StatusOr<FileRule> ParseKeptOverlayRule(std::string_view text);

// "DEST", the place of a rule: absolute, in its normal form. Errors: InvalidArgument.
absl::StatusOr<std::string> ParsePlace(std::string_view text);

// "LAYER[,LAYER]". Errors: InvalidArgument naming the layers that there are.
absl::StatusOr<LayerSet> ParseLayers(std::string_view text);

}  // namespace brood

#endif  // BROOD_BATCH_POLICY_OPTIONS_H_
