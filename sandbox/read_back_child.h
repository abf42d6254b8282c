// Whether what was set up is what was planned, as the kernel tells it afterwards. No step that says it has succeeded is taken
// at its word: mounts and their flags, namespaces, ids, capabilities, limits.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_READ_BACK_CHILD_H_
#define BROOD_SANDBOX_READ_BACK_CHILD_H_

#include <cstddef>
#include <cstdint>

#include "base/setup_message.h"
#include "sandbox/child_plan.h"

namespace brood::child {

inline constexpr size_t kNamespaceKinds = 8;

// Which namespaces a process is in, by their numbers; 0 where that is not known. namespaces(7)
struct NamespaceNumbers {
  uint64_t of[kNamespaceKinds] = {};
};

// Of the calling process, those that matter to `plan`.
NamespaceNumbers OwnNamespaces(const ChildPlan& plan);

// What the child's ids are to be.
struct ExpectedIds {
  uint32_t uid = 0;
  uint32_t gid = 0;
  bool no_groups = false;
};

// In the init, when all that it sets up is there, in "/". `outside` is where the caller is, `sources` what OpenMountSources gave.
// False with `failure`, whose step is "read_back". So are the others.
bool ReadBackSetUp(const ChildPlan& plan, const NamespaceNumbers& outside, const ExpectedIds& ids, const int* sources,
                   SetupMessage* failure);

// In the target, whose parent is the init: before its filter, when limits and Landlock are there; and under the filter.
bool ReadBackTarget(const ChildPlan& plan, SetupMessage* failure);
bool ReadBackSpeculation(uint32_t off, SetupMessage* failure);  // In the target; in the keeper of a slot, whose children have it.
bool ReadBackFilter(const ChildPlan& plan, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_SANDBOX_READ_BACK_CHILD_H_
