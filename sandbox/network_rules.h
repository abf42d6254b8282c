// What the filter of a child with a list of destinations adds to its policy: connect(2) goes to the guardian, and all that
// would make more of the sockets that the guardian hands in is refused.
#ifndef BROOD_SANDBOX_NETWORK_RULES_H_
#define BROOD_SANDBOX_NETWORK_RULES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "sandbox/filter_layout.h"
#include "sandbox/policy.h"

namespace brood {

// What is to happen with one system call.
struct FilterEntry {
  unsigned layer = 0;              // Of the rules that it was made from: those of a higher layer replace them.
  std::optional<uint32_t> action;  // Where none of the cases holds; else what is unlisted gets.
  bool by_name = false;            // The action is that of a rule which names the call itself, and not a group of it.
  std::vector<FilterCase> cases;
};

using FilterEntries = std::map<int, FilterEntry>;  // By number.

// Does nothing for other modes. What the policy forbids stays forbidden.
//
// Errors: InvalidArgument: the policy allows io_uring, whose connections no filter sees.
absl::Status ServeConnections(const Network& network, uint32_t unlisted, FilterEntries& entries);

// Where it is accepted that Landlock alone refuses TCP, which sees no connection that a send makes.
void LeaveTcpToLandlock(const Policy& policy, uint32_t unlisted, FilterEntries& entries);

}  // namespace brood

#endif  // BROOD_SANDBOX_NETWORK_RULES_H_
