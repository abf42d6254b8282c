// What this machine can enforce for this caller, found out by trying it: `brood doctor`.
#ifndef BROOD_SANDBOX_PROBE_H_
#define BROOD_SANDBOX_PROBE_H_

#include <string>
#include <vector>

#include "sandbox/layer.h"

namespace brood {

struct LayerReport {
  enum class Verdict {
    kFull,         // Enforceable.
    kWeaker,       // Only in a weaker form, which --allow-weaker accepts.
    kUnavailable,  // Not at all.
  };
  Layer layer = Layer::kUser;
  Verdict verdict = Verdict::kUnavailable;
  std::string by_what;
  std::string why;     // What is in the way; empty for kFull.
  std::string remedy;  // The command or setting that would change it; empty for kFull.
};

// One report for each layer, in the order of kAllLayers. Starts and ends a short-lived process for each kind of
// namespace; changes nothing. Thread-safe.
std::vector<LayerReport> ProbeMachine();

}  // namespace brood

#endif  // BROOD_SANDBOX_PROBE_H_
