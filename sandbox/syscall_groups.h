// Named groups of system calls for policies: "@file-read" and the like.
#ifndef BROOD_SANDBOX_SYSCALL_GROUPS_H_
#define BROOD_SANDBOX_SYSCALL_GROUPS_H_

#include <string_view>
#include <vector>

namespace brood {

struct SyscallGroup {
  std::string_view name;         // With the @.
  std::string_view description;
  std::string_view members;      // Names, separated by blanks. A name that an architecture lacks is passed over.
};

const std::vector<SyscallGroup>& SyscallGroups();

// The members of a group; empty if there is no such group.
std::vector<std::string_view> SyscallGroupMembers(std::string_view name);

}  // namespace brood

#endif  // BROOD_SANDBOX_SYSCALL_GROUPS_H_
