// The label that a security module of Linux gives to what a process executes next.
//
// A process writes it itself, to a file of its own in /proc, which in a sandbox is read-only, or is not there at all. Here it is
// written by a descriptor of another /proc, that of brood, in which "thread-self" is whoever opens it. apparmor(7), setexeccon(3);
// fs/proc/thread_self.c
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_LABEL_CHILD_H_
#define BROOD_SANDBOX_LABEL_CHILD_H_

#include <cstddef>

#include "base/setup_message.h"
#include "sandbox/child_plan.h"

namespace brood::child {

// Says what the next exec of the calling process, and of those that it bears before, is to run under, and looks whether the kernel
// says so too. `proc` is a directory that is a /proc. Before Landlock, which would refuse to open anything by it.
bool SetLabel(const LabelStep& step, int proc, SetupMessage* failure);

// Whether the kernel's word on the next exec, "brood-job (enforce)", is what was asked for.
enum class LabelWord { kSame, kOther, kNotEnforced };
LabelWord JudgeLabel(const LabelStep& step, const char* seen);

}  // namespace brood::child

#endif  // BROOD_SANDBOX_LABEL_CHILD_H_
