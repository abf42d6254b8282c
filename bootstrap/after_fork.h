// What each forked child does before its target: reseeding a random generator, dropping a cache of the process's number.
//
//   brood::AfterFork([] { g_cache_of_my_pid = 0; });   // In a preload, or in the program.
//
// With the start methods fork and forkserver, and in calls of a Server, in the order in which they were registered; a spawned
// child has nothing to mend. Children of a forkserver need it where pthread_atfork(3) would do with a bare fork: they are born
// by a system call of brood's own, and handlers of that do not run. Random engines: reseed.h.
//
// A hook runs in the child, which has one thread; what it throws is printed, and the next one runs. Never
// unregistered. Thread-safe.
#ifndef BROOD_BOOTSTRAP_AFTER_FORK_H_
#define BROOD_BOOTSTRAP_AFTER_FORK_H_

namespace brood {

void AfterFork(void (*hook)());
void AfterFork(void (*hook)(void* arg), void* arg);

namespace internal {

// In the child of a fork. Takes no lock, which another thread of the parent may have held.
void RunAfterFork();
bool HasHooksAfterFork();

}  // namespace internal
}  // namespace brood

#endif  // BROOD_BOOTSTRAP_AFTER_FORK_H_
