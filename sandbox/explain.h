// What a policy means, in plain words.
#ifndef BROOD_SANDBOX_EXPLAIN_H_
#define BROOD_SANDBOX_EXPLAIN_H_

#include <string>

#include "sandbox/policy.h"

namespace brood {

// Some thirty lines: files, network, isolation, system calls, limits.
std::string ExplainPolicy(const Policy& policy);

// "errno EPERM if argument 1 & 0x800 is 0x800": one rule's effect, without the names.
std::string ExplainAction(SyscallAction action, int errno_value);
std::string ExplainComparisons(const std::vector<ArgumentRule>& args);

}  // namespace brood

#endif  // BROOD_SANDBOX_EXPLAIN_H_
