// The contests that tools/bench runs.
#ifndef BROOD_BENCHMARKS_CONTESTS_H_
#define BROOD_BENCHMARKS_CONTESTS_H_

#include "absl/status/statusor.h"
#include "benchmarks/contest.h"

namespace brood {

// bubblewrap, where it is installed, with a program that does nothing.
absl::Status AddBubblewrap(Contest& contest);

// Floor: vfork+exec+wait. Each launches `in_a_row` times before the next has its turn; 1: each launch comes after one of every other
// contestant, with their caches, and beside what the kernel still clears away of theirs. Errors: NotFound (what Bazel should have built).
absl::StatusOr<Contest> StartPrograms(int rounds, int in_a_row);

// Floor: without any. One that this machine has not is skipped.
absl::StatusOr<Contest> LaunchInEachLayer(int rounds);

// Floor: an ordinary end. From the program's last word to that the caller has the outcome.
absl::StatusOr<Contest> TellOfViolations(int rounds);

// Floor: fork+wait. For a process with one thread, as start method fork wants it.
Contest CallFunctions(int rounds);
Contest StartAndJoin(int rounds);

// Floor: clone+_exit+wait of the same program. All have one processor.
Contest CallServers(int rounds);
Contest CallServersNowAndThen(int rounds);

// Floor: a ping-pong of messages of the same size over the same kind of socket.
Contest RunTasks(int rounds);
Contest MapElements(int rounds, int elements);

// Floor: the same with nothing in memory. Up to 4 * `gib` GiB are in use meanwhile.
Contest ForkPreloaded(int rounds, int gib);
Contest LaunchPreloaded(int rounds);

// Floor: a ping-pong of messages of the same size. All have one processor, and what measures waits before each.
Contest RunWarmJobs(int rounds);

// Floor: clone+_exit+wait with the same work, on the same frozen image. All have one processor.
Contest RunRewoundJobs(int rounds);

// Floor: the same with no child. Up to 2 * `live` processes exist meanwhile.
Contest LaunchBesideLive(int rounds, int live);

// Floor: a child with nothing preloaded. Page tables, and pages of its own; the last one also what the kernel has besides, stacks and
// structures, those of the child's keeper too.
Contest HoldIdle(int rounds);

// Floor: one server on one processor.
Contest CallTwoServers(int rounds);

// Floor: the same process as the loader has left it.
Contest ForkWithLibraries(int rounds);

// Floor: libseccomp's layout of the same 300 rules.
absl::StatusOr<Contest> LoadFilters(int rounds);

// Floor: the call without a filter.
absl::StatusOr<Contest> CallThroughFilters(int rounds);
absl::StatusOr<Contest> ReadThroughFilters(int rounds);

}  // namespace brood

#endif  // BROOD_BENCHMARKS_CONTESTS_H_
