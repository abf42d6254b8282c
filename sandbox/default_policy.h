// The policy that is used unless another is named.
#ifndef BROOD_SANDBOX_DEFAULT_POLICY_H_
#define BROOD_SANDBOX_DEFAULT_POLICY_H_

#include <string_view>

namespace brood {

// "default"; on Windows, which lacks what that asks for, "none".
std::string_view DefaultPolicyName();

}  // namespace brood

#endif  // BROOD_SANDBOX_DEFAULT_POLICY_H_
