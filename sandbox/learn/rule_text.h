// The line of a policy file that allows one system call.
#ifndef BROOD_SANDBOX_LEARN_RULE_TEXT_H_
#define BROOD_SANDBOX_LEARN_RULE_TEXT_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace brood {

// {"names": ["uname"], "action": "allow"}. For calls that are many in one, such as ioctl, with the argument that says which;
// for those that can set a set-user-id bit, make namespaces or make files, only what the call with these arguments did of that.
std::string AllowRuleText(std::string_view syscall, const std::array<uint64_t, 6>& args);

}  // namespace brood

#endif  // BROOD_SANDBOX_LEARN_RULE_TEXT_H_
