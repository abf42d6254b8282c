// The help on Windows: what fails there stands on a page of its own, not among what works.
#include <algorithm>
#include <iterator>

#include "cli/help_page.h"

namespace brood {
namespace {

constexpr Page kPages[] = {
    {"brood", R"(usage: brood COMMAND [options] ...

Starts processes and tells the truth about how they ended.

  run     one program
  call    one function of this program or of a plugin
  batch   many programs, from a file of job lines; results as JSON Lines
  status  a running or finished batch, read from its journal
  policy  check a policy file, or print a built-in policy
  doctor  what this machine can enforce, and what to change
  help    help on a command or topic

serve, listen, probe, demo are for Linux; brood help windows tells what else is.
brood COMMAND --help tells more.
brood help TOPIC: files, limits, environment, jobs, results, exit, batch-more,
call-more, windows.
brood --version prints version, commit and build.
)"},
    {"windows", R"(What this program lacks on Windows. An option of a layer that is missing fails
and names it, unless --allow-weaker LAYER accepts to go without:

  mount       --ro, --rw, --tmpfs, --overlay, --overlay-kept, --overlay-ro,
              --overlay-below, --symlink, --dir, --device, --noexec, --proc-rw
  net         --net loopback, --net allow:HOST:PORT
  uts         --hostname
  cpu, io     --cpus, --cpu-set, --cpu-weight; --io-rate, --io-weight
  disk        --disk; file_size: --file-size; open_files: --open-files
  rlimits     --rlimit
  seccomp     --seccomp-bpf; label: --exec-label

Always refused: --copy-in, --copy-out (a child has the caller's files);
--server, --template (there is no fork, so no server); --start-method fork and
forkserver, with their --preload; --bpf (there are no such filters); --grace
(there is no signal that asks a program to end); --nice, --umask,
--oom-score-adj, --personality, --deny-write-execute, --disable-tsc, --groups
(attributes of Linux); --tty, --pass-fd.
Without effect: --isolation, --violation-stack, --server-uid, --retry-lost.
For Linux only: brood serve, listen, probe, demo, policy learn.

brood doctor tells what this machine enforces, brood policy check FILE whether
it can enforce all of FILE.
)"},
    {"run", R"(usage: brood run [options] [--] PROGRAM [ARG...]

Runs one program in a job that ends with it. Options, with their [defaults]:

)",
     "run", Topic::kEveryday, R"(
exit status: the program's own; 124 time limit, 125 brood failed,
126/127 not runnable/not found. Ctrl+C reaches the program, too; a second one
ends the tree.
more: brood help limits | environment | results | exit | windows
)"},
    {"call", R"(usage: brood call [options] TARGET [ARG...]
       brood call --list [PATH.dll]

)",
     "call", Topic::kEveryday, R"(
TARGET: NAME, or PATH.dll:NAME of a plugin. ARGs and the value printed are JSON.
exit: the function's own, 1 after an error; 124, 125 as brood run
more: brood help call-more | limits | environment | results | exit | windows
)"},
    {"call-more", R"(A target is a function for which its source says BROOD_TARGET, a plugin a DLL
of such. It is loaded in the child.

  brood call --list job.dll                  norm(vector<double>)->double
  brood call job.dll:norm "[3, 4]"           5.0

Arguments, and the value, by type:
  bool, numbers, string   as in JSON; strings with their quotes: "\"text\""
  vector, set, array, pair, tuple    [...]
  map         {...} for names, else [[key, value], ...]
  struct      {"field": ...}, all fields
  bytes       {"base64": "..."}; as argument also {"text": "..."}
  optional    null, or its value        duration    "1.5s"
  variant     the first of its types that fits

A function that returns a status or throws exits with 1 and says why on stderr.
)"},
    {"batch", R"(usage: brood batch [options] JOBS.jsonl | -

)",
     "batch", Topic::kEveryday, R"(
exit: 0 all ok, 1 not all, 2 usage or job file, 125 environment, 130 interrupted
more: brood help batch-more | jobs | results | limits | environment | windows
)"},
    {"jobs", R"(One JSON object a line; empty lines and lines that begin with # are skipped. All
lines are checked before anything runs.

  argv     the program and its arguments, or
  target   a function as for brood call, with its JSON args
  id       unique; default: the line number
  env      ["K=V", "K"]                     cwd             directory
  stdin    path; default: NUL               stdout, stderr  paths; else captured
  policy   name or file                     retries         further attempts
  limits   {"wall_time":"5s", "memory":"64M", "cpu_time", "processes", "output"}
  net      as the option, a list

  {"id":"a", "argv":["C:\\tools\\pack.exe","-t","C:\\data\\f.gz"],
   "limits":{"wall_time":"5s"}}                                  (on one line)

Relative paths, that of cwd too, start where brood was called. What a job says
itself wins over the command line, that over the policy file. Fields for layers
that Windows lacks are refused as their options are: brood help windows.
)"},
    {"files", R"(On Windows a child has the files of its user, with and without a policy: showing
it some of them only is the layer mount, which is lacking. With --net none it is
in an AppContainer, which opens only files that are for application packages.

)",
     "run", Topic::kFiles, R"(
see also: brood help windows, brood doctor
)"},
    {"environment",
     R"(strict, default and networked start with COMSPEC, PATH, PATHEXT, SYSTEMDRIVE,
SYSTEMROOT, TEMP, TMP and WINDIR only; none inherits. What is given here, and a
job's own env, come on top. Names are the same whatever their case.

)",
     "run", Topic::kEnvironment, R"(
see also: brood run --help (--env)
)"},
    {"exit", R"(brood run, call exit with       when
  the program's own, 32 bits    it exited; so does a function. 3221225477 after
                                an access violation, 3 after abort()
  137, 143                      brood killed it, or terminated it
  152, 153                      CPU limit, output limit
  124                           wall time
  125                           bad usage, a limit that cannot be set, outcome
                                lost
  126, 127                      not executable, not found

brood batch: 0 all jobs ok, 1 some failed, 2 usage or bad job file,
125 environment, 130 interrupted
Other commands: 0 yes or done, 1 a negative answer, 2 usage, 125 environment
The result object (brood run --result, brood batch --results) tells things apart
exactly.
)"},
    {"policy", R"(usage: brood policy explain [options] NAME|FILE   what it allows, in words
       brood policy check FILE                    is it valid, enforceable here?

)",
     "policy", Topic::kEveryday, R"(
NAME: strict, default, networked, none. A policy file is JSON with // comments.
It extends one of those, or null.

  { "extends": "none",
    "network":  {"mode": "none"},
    "limits":   {"memory": "1G", "processes": 32, "wall_time": "20s"} }

What strict, default and networked ask for in files and system calls only Linux
has: brood policy check tells which layers are missing here.
)"},
    {"serve", "brood serve is for Linux: a server forks, and Windows has no fork.\n"},
    {"server", "There is no brood serve on Windows, which has no fork: brood help windows\n"},
    {"probe", "brood probe is for Linux: its attacks are system calls of Linux.\n"},
    {"demo", "brood demo is for Linux: it shows sandboxes of Linux. brood doctor tells what\nthere is here.\n"},
};

// On the page "windows", or of a command that is for Linux.
constexpr std::string_view kElsewhere[] = {
    "--ro",          "--rw",     "--tmpfs",  "--overlay",      "--copy-in", "--copy-out",  "--hostname",    "--file-size",
    "--open-files",  "--disk",   "--cpus",   "--cpu-weight",   "--io-rate", "--io-weight", "--violation-stack", "--start-method",
    "--preload",     "--isolation", "--server", "--server-uid", "--template", "--bpf",
    "--overlay-kept", "--overlay-ro", "--overlay-below", "--symlink", "--dir", "--device", "--cpu-set", "--rlimit", "--retry-lost", "--grace",
    "--nice", "--umask", "--oom-score-adj", "--personality", "--deny-write-execute", "--disable-tsc", "--seccomp-bpf", "--groups", "--exec-label", "--proc-rw", "--noexec", "--pass-fd",
};

}  // namespace

absl::Span<const Page> PagesHere() { return kPages; }

std::string_view HelpHere(const Option& option) {
  if (std::find(std::begin(kElsewhere), std::end(kElsewhere), option.name) != std::end(kElsewhere)) return "";
  if (option.commands == "serve" || option.commands == "probe" || option.commands == "demo") return "";
  if (option.help.starts_with("learn: ")) return "";
  if (option.name == "--net") return "none, host; brood help windows";
  if (option.name == "--processes") return "limit processes, not threads";
  if (option.name == "--cwd") return "its current folder";
  if (option.name == "--list") return "print the targets of this program, or of PATH.dll";
  return option.help;
}

}  // namespace brood
