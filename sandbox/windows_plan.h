// What Windows makes of a policy. For sandbox/ and launcher/.
#ifndef BROOD_SANDBOX_WINDOWS_PLAN_H_
#define BROOD_SANDBOX_WINDOWS_PLAN_H_

#include <cstdint>
#include <map>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "sandbox/layer.h"

namespace brood {

// Of a job object, so of the whole tree.
struct JobLimits {
  std::optional<uint64_t> memory_bytes;    // Committed.
  std::optional<uint64_t> processes;       // Threads are not counted.
  std::optional<absl::Duration> cpu_time;  // By the system in user mode; user and kernel by brood's timer.
  bool restricts_ui = false;               // No clipboard, global atoms, desktops, settings, or windows of others.
};

struct TokenLimits {
  bool drops_privileges = false;  // All but SeChangeNotify; administrators' groups only deny.
  bool low_integrity = false;     // Writes to nothing that is not labelled low; what it starts stays there.

  bool any() const { return drops_privileges || low_integrity; }
};

struct PlatformPlan {
  JobLimits job;
  TokenLimits token;
  bool mitigates = false;  // Process mitigation policies.
  bool contained = false;  // AppContainer.
};

// Each layer that was set: OK if the system says that it is as it was set, else what it says instead. FailedPrecondition.
using LayerChecks = std::map<Layer, absl::Status>;

}  // namespace brood

#endif  // BROOD_SANDBOX_WINDOWS_PLAN_H_
