// What must happen before a child ends: callbacks in order of priority. As multiprocessing.util.Finalize.
//
//   const FinalizerId id = AddFinalizer([] { Upload(); }, {.priority = 10});
//   RunFinalizer(id);      // Now, and not again at the end; or
//   CancelFinalizer(id);   // Never.
//
// At the end of a target, those of this process run: when it returns, throws, calls brood::Exit or exit(3), on whatever
// thread; not after a signal, _exit(2) or quick_exit(3). Likewise at the end of a main program that called Bootstrap. The
// highest priority first, of equal ones the newest first; children that are left are ended (launcher/children.h) between
// those of priority 0 and above and the others. What a finalizer throws is printed and the next one runs; one that calls
// Exit or exit decides the exit code, and the others still run. Those of a parent are not inherited by a fork.
// Thread-safe.
#ifndef BROOD_BOOTSTRAP_FINALIZER_H_
#define BROOD_BOOTSTRAP_FINALIZER_H_

#include <cstdint>
#include <functional>
#include <limits>

namespace brood {

using FinalizerId = uint64_t;

struct FinalizerOptions {
  int priority = 0;
};

FinalizerId AddFinalizer(std::function<void()> callback, FinalizerOptions options = {});

// False if it has run, was cancelled, or belongs to another process.
bool RunFinalizer(FinalizerId id);
bool CancelFinalizer(FinalizerId id);
bool FinalizerIsActive(FinalizerId id);

namespace internal {

// Runs all whose priority is at least `min_priority`, also those that are added meanwhile.
void RunFinalizers(int min_priority = std::numeric_limits<int>::min());

// The finalizers of one copy of brood for another one in the same process: plugin_link.h. What the second
// has already goes there, with other ids.
void* SharedFinalizers();
void UseFinalizers(void* shared);

// Whether there may be some, of this process or of one that it is a fork of.
bool HasFinalizers();

// In the child of a fork, before anything else of this file: another thread of the parent may have held the lock.
void ForgetFinalizers();

}  // namespace internal
}  // namespace brood

#endif  // BROOD_BOOTSTRAP_FINALIZER_H_
