// Runs a command without brood, as a launcher that is tried must be run: what it does is not trusted.
#ifndef BROOD_CLI_PROBE_RUN_COMMAND_H_
#define BROOD_CLI_PROBE_RUN_COMMAND_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace brood::probe {

struct Command {
  std::vector<std::string> argv;
  // In the new process, before the exec.
  std::function<void()> prepare = [] {};
  int terminal = -1;  // Becomes standard input, and the terminal of the session. -1: /dev/null.
  // Called with what was written to standard output so far whenever there is more; true: kill the children of the
  // command now.
  std::function<bool(const std::string&)> enough = [](const std::string&) { return false; };
  absl::Duration patience = absl::Seconds(20);
};

struct CommandEnd {
  bool timed_out = false;  // The patience was over before the command was; it is killed then.
  int code = 0;            // 0 to 255, or -n for signal n.
  std::string out;         // Without its middle if it is long.
  std::string err;
  uint64_t bytes = 0;      // All that was written to both.
};

// Runs it in a session of its own. Processes that it leaves are left.
absl::StatusOr<CommandEnd> RunCommand(const Command& command);

// What a command that must succeed writes to standard output.
absl::StatusOr<std::string> OutputOf(std::vector<std::string> argv);

// Processes that have `word` as a whole argument, and are not zombies.
std::set<pid_t> ProcessesWith(const std::string& word);

// Whether there is one. Looks more than once: a process that forks and ends may slip through a look.
bool AnyProcessWith(const std::string& word);

// Kills those, by pidfd and only if they still have the word, until there are none; false if some do not go.
bool KillProcessesWith(const std::string& word);

// Kills and reaps all children of this process, for a subreaper: all that commands have left, whoever started it. Without what
// it may not kill, and what does not go within two seconds.
void EndLeftovers();

}  // namespace brood::probe

#endif  // BROOD_CLI_PROBE_RUN_COMMAND_H_
