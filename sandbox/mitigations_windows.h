// Process mitigation policies: the nearest that Windows has to a filter of system calls. They take from a process what
// attacks use: extension DLLs, images from the network or from places of low integrity, fonts.
//
// Windows only. Thread-safe.
#ifndef BROOD_SANDBOX_MITIGATIONS_WINDOWS_H_
#define BROOD_SANDBOX_MITIGATIONS_WINDOWS_H_

#include <cstdint>

#include "absl/status/status.h"

namespace brood {

// For PROC_THREAD_ATTRIBUTE_MITIGATION_POLICY.
uint64_t Mitigations();

// Whether `process` runs with them, by what the system says. FailedPrecondition: names those with which it does not.
absl::Status CheckMitigations(int process);

// The same of a process of this program that never runs: whether this machine keeps them. Errors: also what the system says.
absl::Status ProbeMitigations();

}  // namespace brood

#endif  // BROOD_SANDBOX_MITIGATIONS_WINDOWS_H_
