// Whether the rules of a policy about system calls can be made a filter.
#ifndef BROOD_SANDBOX_CHECK_FILTER_H_
#define BROOD_SANDBOX_CHECK_FILTER_H_

#include "absl/status/status.h"
#include "sandbox/policy.h"

namespace brood {

// Errors: InvalidArgument, naming the rule: unknown system call or group, impossible argument; or the file of BPF bytes that the
// kernel would not take. On Windows, which has no such
// filters, nothing is known of the calls: CompilePolicy refuses the policy there unless it may go without.
absl::Status CheckFilter(const Policy& policy);

}  // namespace brood

#endif  // BROOD_SANDBOX_CHECK_FILTER_H_
