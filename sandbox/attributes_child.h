// Gives a child's processes their attributes.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_ATTRIBUTES_CHILD_H_
#define BROOD_SANDBOX_ATTRIBUTES_CHILD_H_

#include "base/setup_message.h"
#include "sandbox/child_plan.h"

namespace brood::child {

inline constexpr int kPrSetMdwe = 65;  // PR_SET_MDWE and its flag, which older headers lack.
inline constexpr int kPrGetMdwe = 66;
inline constexpr unsigned long kMdweRefuseExecGain = 1;

// Of the calling process and all that it starts from now on, by the /proc of its caller: in its own one nothing can be written.
bool SetOomScoreAdj(const AttributeSteps& steps, SetupMessage* failure);

// In the target: all the others.
bool ApplyAttributes(const AttributeSteps& steps, SetupMessage* failure);

// In the target, whose /proc is there: whether it has them all.
bool ReadBackAttributes(const AttributeSteps& steps, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_SANDBOX_ATTRIBUTES_CHILD_H_
