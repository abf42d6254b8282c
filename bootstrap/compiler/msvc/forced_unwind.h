// What unwinds the stack for pthread_exit: Visual C++ has nothing of the kind.
#ifndef BROOD_BOOTSTRAP_FORCED_UNWIND_H_
#define BROOD_BOOTSTRAP_FORCED_UNWIND_H_

namespace brood::internal {

class ForcedUnwind {  // Never thrown: nobody can make one.
  ForcedUnwind() = default;
};

}  // namespace brood::internal

#endif  // BROOD_BOOTSTRAP_FORCED_UNWIND_H_
