// Which namespaces this caller can make, found out by making them.
#ifndef BROOD_SANDBOX_NAMESPACE_PROBE_H_
#define BROOD_SANDBOX_NAMESPACE_PROBE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "sandbox/layer.h"
#include "sandbox/policy.h"

namespace brood {

// Runs `step` in a process of its own, in new namespaces `flags` (CLONE_NEW*). Returns 0 or the errno of what failed. `step` may
// be null and must be child-safe; it returns 0 or an errno too. Thread-safe; the process is gone when this returns.
int TryInNamespaces(uint64_t flags, int (*step)());

// Whether a user namespace can be made, and the caller's id be mapped into it: 0, or the errno of what cannot.
int TryUserNamespace();

// Mounts a procfs as the root of a sandbox has it. A step for TryInNamespaces.
int TryNewProc();

// Mounts an overlay. A step for TryInNamespaces.
int TryOverlay();

// Makes a time namespace and sets its clocks. A step for TryInNamespaces.
int TryTimeNamespace();

// Those of `wanted` that the kernel refuses when they are asked for together with the user namespace, if that is wanted and
// can be had. The mount namespace is one of them if a procfs, which `with_proc` asks for, cannot be mounted in it.
// Errors: what says nothing of namespaces, such as no process or descriptor left.
absl::StatusOr<LayerSet> MissingNamespaces(const LayerSet& wanted, bool with_proc);

}  // namespace brood

#endif  // BROOD_SANDBOX_NAMESPACE_PROBE_H_
