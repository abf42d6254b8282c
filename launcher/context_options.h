// What a Context applies to all functions that it starts.
#ifndef BROOD_LAUNCHER_CONTEXT_OPTIONS_H_
#define BROOD_LAUNCHER_CONTEXT_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "forkserver/server_state.h"
#include "serialization/messages.h"

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
  // Forkserver: the socket of a `brood serve` (LaunchOptions::server), which starts the children, with what it has preloaded,
  // from its own program: targets are started by name, and what follows here of preloads does not count. One thread, many
  // clients: a child is ready when the outcome or Process::pid says so.
  std::string server;
  std::optional<uint32_t> server_uid;  // LaunchOptions::server_uid, as is the next.
  std::string server_template;
  // How often Call and CallByName start a child again that was lost, because its server, a forkserver or a `brood serve`, was
  // killed. It may have begun, and even have ended, before: ask for that where to do it twice does no harm. What was started
  // by Start is never started again. With `server`, a new one is waited for as long as server_timeout.
  uint32_t retry_lost = 0;
  uint64_t max_argument_bytes = uint64_t{64} << 20;  // All arguments of a call. More is InvalidArgument.
  uint64_t max_result_bytes = uint64_t{64} << 20;    // More is an error of the child's. At most 64 MiB.
  int log_level = 0;  // A LogLevel (bootstrap/log.h) for the children. 0: that of this process at the start.
  // Folders in which the child, inside its sandbox, looks for a plugin whose name has no slash: libjob.so:Norm.
  std::vector<std::string> plugin_path;

  // Forkserver: names of targets without arguments, which the server runs in this order before it forks the first child;
  // PATH.so loads that plugin, PATH.so:NAME runs its target, both in the server, outside of any sandbox.
  // What they leave in memory, all children find. They must leave no thread running. What they print is the user's.
  std::vector<std::string> preload;
  // Forkserver: whether the server's memory is frozen after the preload, so that a child costs the same with a preloaded GiB
  // as with nothing. kAuto: from 16 MiB on, unless something is in the way; kOn: what is in the way is an error of the start.
  // Off unless asked for, since an allocator other than malloc, in a preload, may not bear it: docs/freeze.md. What a preload
  // allocates from PreloadMemory() (forkserver/preload_memory.h) has that property without it.
  Freeze freeze = Freeze::kOff;
  // Forkserver: more preloads, each in a template, a process of its own that is a fork of the server, or of the template before it;
  // children are forked from the last one. Contexts with the same beginning share it: what was preloaded is not preloaded again.
  std::vector<Template> templates;
  absl::Duration preload_timeout = absl::Minutes(5);  // For the start of the server. A longer one is an error.
  // Forkserver: all children of a server have its addresses, so that one of them can tell where another one has what. A start
  // that finds a server which has borne so many children of this process's, or is so old, has another one, which is started
  // then, preload and all, and laid out anew. What the old one has borne goes on. 0: any number.
  uint64_t rotate_after_children = 0;
  absl::Duration rotate_after = absl::InfiniteDuration();
  // Forkserver: for the running server to take a request and bear the child, which may take longer to be ready. A server
  // that takes longer, because somebody has stopped it, for example, is killed, and the start is an error; children that
  // run go on, and the next start has another server.
  absl::Duration server_timeout = absl::Minutes(1);
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_CONTEXT_OPTIONS_H_
