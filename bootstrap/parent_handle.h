// The purpose, in ProcessData::handles, of a handle of the parent process that a child on Windows inherits.
#ifndef BROOD_BOOTSTRAP_PARENT_HANDLE_H_
#define BROOD_BOOTSTRAP_PARENT_HANDLE_H_

namespace brood::internal {

// Opened with SYNCHRONIZE and nothing else: the child can wait for its parent's end, and do nothing to it.
inline constexpr char kParentHandle[] = "parent";

}  // namespace brood::internal

#endif  // BROOD_BOOTSTRAP_PARENT_HANDLE_H_
