// What a Context applies to all functions that it starts.
#ifndef BROOD_LAUNCHER_CONTEXT_OPTIONS_H_
#define BROOD_LAUNCHER_CONTEXT_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace brood {

// What a fork does when this process has more than one thread. Another thread may hold any lock at that moment, and
// the child waits for it for ever. fork(2), "NOTES".
enum class ForkWithThreads {
  kRefuse,          // FailedPrecondition.
  kCallerSaysSafe,  // The target uses nothing that another thread could have locked.
};

struct ContextOptions {
  // Spawn, forkserver: the program that holds the targets and calls Bootstrap. Empty: this one, which must not have been
  // started as `ld.so PROGRAM` then. With another one, targets are started by name, and are looked up in the child only.
  std::string executable;
  ForkWithThreads fork_with_threads = ForkWithThreads::kRefuse;
  uint64_t max_argument_bytes = uint64_t{64} << 20;  // All arguments of a call. More is InvalidArgument.
  uint64_t max_result_bytes = uint64_t{64} << 20;    // More is an error of the child's. At most 64 MiB.
  int log_level = 0;  // A LogLevel (bootstrap/log.h) for the children. 0: that of this process at the start.
  std::vector<std::string> plugin_path;              // Handed to the child: where plugins are looked for.

  // Forkserver: names of targets without arguments, which the server runs in this order before it forks the first child.
  // What they leave in memory, all children find. They must leave no thread running. What they print is the user's.
  std::vector<std::string> preload;
  absl::Duration preload_timeout = absl::Minutes(5);  // For the start of the server. A longer one is an error.
  // Forkserver: for the running server to take a request and bear the child, which may take longer to be ready. A server
  // that takes longer, because somebody has stopped it, for example, is killed, and the start is an error; children that
  // run go on, and the next start has another server.
  absl::Duration server_timeout = absl::Minutes(1);
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_CONTEXT_OPTIONS_H_
