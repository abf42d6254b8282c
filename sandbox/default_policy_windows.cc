#include "sandbox/default_policy.h"

namespace brood {

std::string_view DefaultPolicyName() { return "none"; }

}  // namespace brood
