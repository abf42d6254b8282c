// What unwinds the stack for pthread_exit and pthread_cancel. GCC and clang, mingw-w64 included.
#ifndef BROOD_BOOTSTRAP_FORCED_UNWIND_H_
#define BROOD_BOOTSTRAP_FORCED_UNWIND_H_

#include <cxxabi.h>

namespace brood::internal {

using ForcedUnwind = abi::__forced_unwind;  // A handler of it must not be left but by throwing on.

}  // namespace brood::internal

#endif  // BROOD_BOOTSTRAP_FORCED_UNWIND_H_
