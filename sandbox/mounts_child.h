// Builds the child's file system in its own mount namespace, out of nothing but the listed mounts.
//
// Two phases, because the ids change between them: sources are opened while the process still has the caller's id,
// and the tree is built with the child's, so that what it creates belongs to the child.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_MOUNTS_CHILD_H_
#define BROOD_SANDBOX_MOUNTS_CHILD_H_

#include "base/setup_message.h"
#include "sandbox/child_plan.h"
#include "sandbox/setup_steps.h"

namespace brood::child {

inline constexpr size_t kMaxMountSteps = 256;
inline constexpr int kAbsentSource = -2;  // An optional source that is not there.

// Opens one source as a detached copy of its mount tree, with the step's attributes set. Returns the descriptor,
// kAbsentSource, or -1 with `failure` filled.
int OpenMountSource(const MountStep& step, SetupMessage* failure);

// Opens the sources of all bind steps into `sources`; those that are already there (lent) are left alone.
bool OpenMountSources(const ChildPlan& plan, int* sources, SetupMessage* failure);

// A detached tmpfs of `size` bytes, a decimal number, for what is to be mounted on /`target`; -1 with `failure` filled.
int NewTmpfs(const char* size, const char* mode, unsigned attributes, const char* target, SetupMessage* failure);

// Builds the tree from `sources` (closing them), makes it the root, and detaches the old one.
bool BuildRoot(const ChildPlan& plan, int* sources, SetupMessage* failure);

// Fills `failure`; returns false so that callers can return it.
bool Fail(SetupMessage* failure, SetupStep step, int error_number, const char* detail, const char* object = nullptr);

}  // namespace brood::child

#endif  // BROOD_SANDBOX_MOUNTS_CHILD_H_
