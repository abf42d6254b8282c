#include "cli/options.h"

#include <algorithm>

#include "absl/strings/str_split.h"
#include "sandbox/default_policy.h"

namespace brood {

const std::vector<Option>& AllOptions() {
  static const auto* options = new std::vector<Option>{

      {"--policy", "-p", "FILE|NAME", "strict, default, networked, none, or a file", DefaultPolicyName(), "run call batch serve"},
      {"--ro", "", "SRC[:DEST]", "show SRC inside, read-only; repeatable", "", "run call batch serve", Topic::kEveryday, true},
      {"--rw", "", "SRC[:DEST]", "show SRC inside, writable; repeatable", "", "run call batch serve", Topic::kEveryday, true},
      {"--net", "", "MODE", "none, loopback, host, allow:HOST:PORT", "the policy's", "run call batch serve"},
      {"--wall-time", "-t", "TIME", "end the tree after TIME: 500ms, 10s, 2m", "the policy's", "run call batch serve"},
      {"--cpu-time", "", "TIME", "the same for the tree's CPU time", "the policy's", "run call batch serve"},
      {"--memory", "-m", "SIZE", "limit the whole tree: 512M, 2G", "the policy's", "run call batch serve"},
      {"--processes", "", "N", "limit processes and threads", "the policy's", "run call batch serve"},
      {"--output", "", "SIZE", "end the tree after SIZE of output", "the policy's", "run call batch serve"},
      {"--env", "-e", "K=V | K", "set a variable, or pass the caller's K; repeatable", "", "run call batch",
       Topic::kEveryday, true},
      {"--result", "", "FILE", "write the outcome as JSON; - is stdout, at the end", "", "run call"},
      {"--copy-in", "", "SRC:DEST", "copy file SRC to DEST inside, before it starts", "", "run call", Topic::kFiles, true},
      {"--copy-out", "", "SRC:DEST[:SIZE]", "copy SRC inside to DEST at the end", "SIZE: 64M", "run call", Topic::kFiles, true},
      {"--pass-fd", "", "FD[:NUMBER]", "give it this open descriptor; repeatable", "", "run", Topic::kFiles, true},
      {"--tty", "", "", "give it a terminal of its own", "", "run"},
      {"--violation-stack", "", "", "report violations with the functions they came from", "", "run call batch", Topic::kLimits},
      {"--start-method", "", "HOW", "spawn, fork or forkserver", "spawn", "call"},
      {"--preload", "", "LIB", "forkserver: first load LIB, or run LIB:NAME", "", "call", Topic::kEveryday, true},
      {"--isolation", "", "HOW", "forkserver: fresh, or kept for the next child", "kept", "call"},
      {"--isolation", "", "HOW", "with --server: fresh, or kept for the next", "kept", "run", Topic::kServer},
      {"--list", "-l", "", "print the targets of this program, or of PATH.so", "", "call"},
      {"--jobs", "-j", "N|N%", "jobs at a time, or percent of the CPUs", "the CPUs", "batch"},
      {"--results", "-o", "FILE", "journal, one JSON line a job; - is stdout", "-", "batch"},
      {"--resume", "", "", "skip jobs that have a result in the journal", "", "batch"},
      {"--retries", "-r", "N", "further attempts for a job that is not ok", "0", "batch"},
      {"--halt", "", "RULE", "now|soon,fail=N|N%: kill, or start no more", "never", "batch"},
      {"--output-dir", "", "DIR", "DIR/ID/stdout and stderr, not in the results", "", "batch"},
      {"--start-method", "", "HOW", "of functions: spawn, fork, forkserver", "spawn", "batch", Topic::kBatch},
      {"--preload", "", "LIB", "forkserver: first load LIB, or run LIB:NAME", "", "batch", Topic::kBatch, true},
      {"--isolation", "", "HOW", "a fresh sandbox a job, or kept for the next", "kept", "batch", Topic::kBatch},
      {"--keep-order", "-k", "", "results in the order of the jobs, on stdout only", "", "batch", Topic::kBatch},
      {"--sync", "", "WHEN", "make the journal durable: always, 1s, never", "1s", "batch", Topic::kBatch},
      {"--shard", "", "I/N", "run part I of N of the jobs, I from 1", "", "batch", Topic::kBatch},
      {"--joblog", "", "FILE", "a log in the format of GNU parallel's --joblog", "", "batch", Topic::kBatch},
      {"--junit", "", "FILE", "at the end, the results as JUnit XML", "", "batch", Topic::kBatch},
      {"--trace", "", "FILE", "at the end, a timeline for ui.perfetto.dev", "", "batch", Topic::kBatch},
      {"--progress", "", "WHEN", "auto (on a terminal), always, never", "auto", "batch", Topic::kBatch},
      {"--dry-run", "-n", "", "check everything, print the commands, run nothing", "", "batch"},
      {"--tmpfs", "", "DEST[:SIZE]", "an empty directory in memory", "64M", "run call batch serve", Topic::kFiles, true},
      {"--overlay", "", "SRC[:DEST][:SIZE]", "a directory, its changes kept in memory", "64M", "run call batch serve", Topic::kFiles, true},
      {"--overlay-kept", "", "CHANGES:SRC[:DEST]", "a directory, its changes kept in another", "", "run call batch serve", Topic::kFiles, true},
      {"--overlay-ro", "", "SRC[:DEST]", "directories as one, SRC on top, to be read", "", "run call batch serve", Topic::kFiles, true},
      {"--overlay-below", "", "SRC:DEST", "SRC below the overlay at DEST, and the last", "", "run call batch serve", Topic::kFiles, true},
      {"--symlink", "", "TARGET:DEST", "make a link to TARGET", "", "run call batch serve", Topic::kFiles, true},
      {"--dir", "", "DEST[:MODE]", "make an empty directory", "0755", "run call batch serve", Topic::kFiles, true},
      {"--device", "", "PATH[:DEST]", "a device of the host, to be used", "", "run call batch serve", Topic::kFiles, true},
      {"--noexec", "", "DEST", "nothing that a rule shows there is executed", "", "run call batch serve", Topic::kFiles, true},
      {"--proc-rw", "", "", "a /proc whose processes can be written to", "", "run call batch serve", Topic::kFiles},
      {"--cwd", "", "DIR", "current directory inside", "the caller's, else /", "run call batch", Topic::kFiles},
      {"--grace", "", "TIME", "after the wall time send TERM, and kill after TIME", "", "run call batch serve", Topic::kLimits},
      {"--file-size", "", "SIZE", "limit each file that is written", "the policy's", "run call batch serve", Topic::kLimits},
      {"--open-files", "", "N", "limit descriptors of each process", "the policy's", "run call batch serve", Topic::kLimits},
      {"--rlimit", "", "NAME=VALUE", "of each process: stack, as, memlock", "the policy's", "run call batch serve", Topic::kLimits, true},
      {"--nice", "", "N", "nice value of each process: 0 to 19", "the caller's", "run call batch serve", Topic::kProcesses},
      {"--groups", "", "GID[,GID]", "supplementary groups of this machine", "", "run call batch serve", Topic::kProcesses},
      {"--umask", "", "MODE", "modes that new files do not get: 027", "the caller's", "run call batch serve", Topic::kProcesses},
      {"--oom-score-adj", "", "N", "ended first if memory is short: to 1000", "the caller's", "run call batch serve", Topic::kProcesses},
      {"--personality", "", "FLAG[,FLAG]", "addr_no_randomize and others", "", "run call batch serve", Topic::kProcesses},
      {"--deny-write-execute", "", "", "no memory that was writable gets executable", "", "run call batch serve", Topic::kProcesses},
      {"--disable-tsc", "", "", "rdtsc is SIGSEGV; for static programs", "", "run batch serve", Topic::kProcesses},
      {"--exec-label", "", "LABEL", "a profile of AppArmor, or SELinux's context", "", "run batch serve", Topic::kProcesses},
      {"--seccomp-bpf", "", "FILE", "a filter besides, as BPF bytes; repeatable", "", "run call batch serve", Topic::kProcesses, true},
      {"--disk", "", "SIZE", "all files of the tree together", "", "run call batch serve", Topic::kLimits},
      {"--cpus", "", "N", "CPU time of the tree a second: 0.5, 2", "", "run call batch serve", Topic::kLimits},
      {"--cpu-set", "", "LIST", "run on these CPUs alone: 0-1,3", "", "run call batch serve", Topic::kLimits},
      {"--cpu-weight", "", "N", "its share where CPUs are short: 1 to 10000", "100", "run call batch serve", Topic::kLimits},
      {"--io-rate", "", "SIZE", "bytes a second from, and to, each disk", "", "run call batch serve", Topic::kLimits},
      {"--io-weight", "", "N", "its share where disks are: 1 to 10000", "100", "run call batch serve", Topic::kLimits},
      {"--wait-tree", "", "", "wait for what the program leaves running", "", "run call batch", Topic::kLimits},
      {"--allow-weaker", "", "LAYER[,LAYER]", "accept their weaker form; see brood doctor", "", "run call batch serve",
       Topic::kLimits, true},
      {"--env-file", "", "FILE", "one K=V or K a line; # begins a comment", "", "run call batch", Topic::kEnvironment, true},
      {"--clear-env", "", "", "begin with an empty environment", "", "run call batch", Topic::kEnvironment},
      {"--hostname", "", "NAME", "host name inside", "brood", "run call batch serve", Topic::kEnvironment},
      {"--server", "", "PATH", "the socket of a brood serve", "", "run call batch", Topic::kServer},
      {"--server-uid", "", "UID", "its user, if not this one or root", "", "run call batch serve", Topic::kServer},
      {"--retry-lost", "", "N", "start again if its server was killed", "0", "run call batch", Topic::kServer},
      {"--template", "", "PATH", "the server's template that bears functions", "", "call batch", Topic::kServer},
      {"--socket", "-s", "PATH", "where to listen", "", "serve", Topic::kServe},
      {"--allow-uid", "", "UID", "serve this user too; repeatable", "this user only", "serve", Topic::kServe, true},
      {"--max-children", "", "N", "refuse one more while N live", "none", "serve", Topic::kQuotas},
      {"--max-children-per-client", "", "N", "likewise, of one process that asks", "none", "serve", Topic::kQuotas},
      {"--max-children-per-user", "", "N", "likewise, of one user", "none", "serve", Topic::kQuotas},
      {"--max-memory-per-client", "", "SIZE", "their limits of memory together", "none", "serve", Topic::kQuotas},
      {"--preload", "", "LIB", "first load LIB, or run LIB:NAME; repeatable", "", "serve", Topic::kServe, true},
      {"--template", "", "PATH=LIB", "as --preload, in a template of the server's", "", "serve", Topic::kServe, true},
      {"--freeze", "", "WHEN", "preloaded memory: off, auto, on", "off", "serve", Topic::kServe},
      {"--rotate-children", "", "N", "preload anew, elsewhere, after N functions", "never", "serve", Topic::kServe},
      {"--rotate-after", "", "TIME", "likewise, after TIME", "never", "serve", Topic::kServe},
      {"--status", "", "PATH", "print what the server at PATH does, and end", "", "serve", Topic::kServe},
      {"--json", "", "", "--status as JSON", "", "serve", Topic::kServe},
      {"--prometheus", "", "", "--status for Prometheus to read", "", "serve", Topic::kServe},
      {"--port", "", "N", "where to listen; 0: one that is free", "", "listen", Topic::kListen},
      {"--bind", "", "ADDR", "of this IP address of the machine", "127.0.0.1", "listen", Topic::kListen},
      {"--socket", "-s", "PATH", "a UNIX socket instead", "", "listen", Topic::kListen},
      {"--max-connections", "", "N", "refuse one more while N are open", "100", "listen", Topic::kListen},
      {"--max-per-address", "", "N", "likewise, from one address, or one user", "10", "listen", Topic::kListen},
      {"--after-end", "", "TIME", "end PROGRAM so long after its client's last word", "10s", "listen", Topic::kListen},
      {"--stderr", "", "WHERE", "client, here or null", "client", "listen", Topic::kListen},
      {"--results", "-o", "FILE", "a JSON line for each connection; - is stdout", "", "listen", Topic::kListen},
      {"--json", "", "", "as JSON", "", "doctor probe"},
      {"--only", "", "FAMILY|NAME", "try these attacks only; repeatable", "", "probe", Topic::kEveryday, true},
      {"--list", "-l", "", "print the attacks, and try none", "", "probe"},
      {"--inside", "", "DIR", "where the launcher shows {}", "where it is", "probe"},
      {"--patience", "", "TIME", "end an attack after TIME", "5s", "probe"},
      {"--json", "", "", "explain: the policy file itself", "", "policy"},
      {"--output", "-o", "FILE", "learn: write there, and add to what it holds", "stdout", "policy"},
      {"--wall-time", "-t", "TIME", "learn: end PROGRAM after TIME", "none", "policy"},
      {"--bpf", "", "", "explain: the system call filter, as instructions", "", "policy"},
      {"--jobs", "-j", "N", "honest jobs, 1 to 100000", "320", "demo"},
      {"--json", "", "FILE", "write what was found to FILE", "", "demo"},
  };
  return *options;
}

bool HasOption(std::string_view command, const Option& option) {
  // It starts programs as they do, each of its own making.
  if (command == "listen" && option.commands.starts_with("run call batch") && option.topic != Topic::kServer) return true;
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
