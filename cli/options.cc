#include "cli/options.h"

#include <algorithm>

#include "absl/strings/str_split.h"

namespace brood {

const std::vector<Option>& AllOptions() {
  static const auto* options = new std::vector<Option>{

      {"--policy", "-p", "FILE|NAME", "policy file, or strict, default, networked, none", "default", "run batch"},
      {"--ro", "", "SRC[:DEST]", "show SRC inside, read-only; repeatable", "", "run batch", Topic::kEveryday, true},
      {"--rw", "", "SRC[:DEST]", "show SRC inside, writable; repeatable", "", "run batch", Topic::kEveryday, true},
      {"--net", "", "MODE", "none, loopback, host, allow:HOST:PORT", "the policy's", "run batch"},
      {"--wall-time", "-t", "TIME", "kill the tree after TIME: 500ms, 10s, 2m", "none", "run batch"},
      {"--cpu-time", "", "TIME", "the same for CPU time, all processes together", "none", "run batch"},
      {"--memory", "-m", "SIZE", "limit the whole tree: 512M, 2G", "none", "run batch"},
      {"--processes", "", "N", "limit the tree to N processes and threads", "the policy's", "run batch"},
      {"--output", "", "SIZE", "kill the tree after SIZE on stdout and stderr together", "none", "run batch"},
      {"--env", "-e", "K=V | K", "set a variable, or pass the caller's through; repeatable", "", "run batch",
       Topic::kEveryday, true},
      {"--result", "", "FILE", "write the outcome as JSON; - is stdout, after the program's own output", "", "run"},
      {"--jobs", "-j", "N|N%", "jobs at a time, or percent of the CPUs", "the CPUs", "batch"},
      {"--results", "-o", "FILE", "journal: one JSON line per job; - is stdout", "-", "batch"},
      {"--resume", "", "", "continue the batch in the journal: skip jobs that have a result there", "", "batch"},
      {"--retries", "-r", "N", "further attempts for a job that is not ok", "0", "batch"},
      {"--halt", "", "RULE", "after failures kill all, or start no more: now|soon,fail=N|N%", "", "batch"},
      {"--output-dir", "", "DIR", "write DIR/ID/stdout and stderr instead of capturing into the results", "", "batch"},
      {"--keep-order", "-k", "", "give results in the order of the jobs; on standard output only", "", "batch",
       Topic::kBatch},
      {"--sync", "", "WHEN", "make the journal durable: always, 1s, never", "1s", "batch", Topic::kBatch},
      {"--shard", "", "I/N", "run part I of N of the jobs, I from 1", "",
       "batch", Topic::kBatch},
      {"--joblog", "", "FILE", "a log in the format of GNU parallel's --joblog", "", "batch", Topic::kBatch},
      {"--junit", "", "FILE", "at the end, the results as JUnit XML", "", "batch", Topic::kBatch},
      {"--trace", "", "FILE", "at the end, a timeline in Chrome's trace format, for ui.perfetto.dev", "", "batch",
       Topic::kBatch},
      {"--progress", "", "WHEN", "auto (on a terminal), always, never", "auto", "batch", Topic::kBatch},
      {"--dry-run", "-n", "", "check everything, print the commands that would run, run nothing", "", "batch"},
      {"--tmpfs", "", "DEST[:SIZE]", "an empty directory in memory", "64M", "run batch", Topic::kFiles, true},
      {"--cwd", "", "DIR", "current directory inside", "the caller's if visible, else /", "run batch", Topic::kFiles},
      {"--file-size", "", "SIZE", "limit each file that is written", "the policy's", "run batch", Topic::kLimits},
      {"--open-files", "", "N", "limit the descriptors of each process", "the policy's", "run batch", Topic::kLimits},
      {"--wait-tree", "", "", "wait for what the program leaves running, instead of killing it", "", "run batch",
       Topic::kLimits},
      {"--allow-weaker", "", "LAYER[,LAYER]", "accept the weaker form of these layers; `brood doctor` lists them", "",
       "run batch", Topic::kLimits, true},
      {"--env-file", "", "FILE", "variables, one K=V or K a line; # begins a comment", "", "run batch",
       Topic::kEnvironment, true},
      {"--clear-env", "", "", "begin with an empty environment, not the policy's", "", "run batch",
       Topic::kEnvironment},
      {"--hostname", "", "NAME", "host name inside", "brood", "run batch", Topic::kEnvironment},
      {"--json", "", "", "as JSON", "", "doctor"},
  };
  return *options;
}

bool HasOption(std::string_view command, const Option& option) {
  const std::vector<std::string_view> commands = absl::StrSplit(option.commands, ' ');
  return std::find(commands.begin(), commands.end(), command) != commands.end();
}

bool ParsedOptions::Has(std::string_view name) const {
  return std::any_of(given_.begin(), given_.end(), [&](const auto& entry) { return entry.first == name; });
}

std::string ParsedOptions::Value(std::string_view name, std::string_view fallback) const {
  const std::vector<std::string> values = Values(name);
  return values.empty() ? std::string(fallback) : values.back();
}

std::vector<std::string> ParsedOptions::Values(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [given, value] : given_) {
    if (given == name) values.push_back(value);
  }
  return values;
}

}  // namespace brood
