#include "cli/help.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "cli/help_page.h"
#include "cli/options.h"

namespace brood {
namespace {

constexpr Page kPages[] = {
    {"brood", R"(usage: brood COMMAND [options] ...

Starts sandboxed processes and tells the truth about how they ended.

  run     one program
  call    one function of this program or of a plugin
  batch   many programs, from a file of job lines; results as JSON Lines
  serve   a server that does this for many clients: run, call, batch --server
  listen  a program for each connection to a port or a UNIX socket
  status  a running or finished batch, read from its journal
  policy  check a policy file, or print a built-in policy
  doctor  what this machine can enforce, and what to change
  probe   try attacks under any launcher, and see which succeed
  demo    the main job on real files of this machine
  help    help on a command or topic

brood COMMAND --help tells more.
brood help TOPIC: files, limits, processes, environment, jobs, results, exit,
server, quotas, batch-more, call-more.
brood --version prints version, commit and build.
)"},
    {"run", R"(usage: brood run [options] [--] PROGRAM [ARG...]

Runs one program in a sandbox. Options, with their [defaults]:

)",
     "run", Topic::kEveryday, R"(
exit status: the program's own; 124 time limit, 125 brood failed,
126/127 not runnable/not found, 128+N signal N. TERM, INT and HUP are forwarded
to the program; a second one kills the tree.
more: brood help files | limits | environment | results | exit
)"},
    {"call", R"(usage: brood call [options] TARGET [ARG...]
       brood call --list [PATH.so]

)",
     "call", Topic::kEveryday, R"(
TARGET: NAME, or PATH.so:NAME of a plugin. ARGs and the value printed are JSON.
exit: the function's own, 1 after an error; 124, 125, 128+N as brood run
more: brood help call-more | files | limits | environment | results | exit
)"},
    {"call-more", R"(A target is a function for which its source says BROOD_TARGET, a plugin a shared
library of such. It is loaded in the child, so within the sandbox, where it is
shown, read-only; with --preload also in the forkserver, outside of it.

  brood call --list libjob.so                norm(vector<double>)->double
  brood call libjob.so:norm '[3, 4]'         5.0

Arguments, and the value, by type:
  bool, numbers, string   as in JSON; strings with their quotes: '"text"'
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
more: brood help batch-more | jobs | results | files | limits | environment
)"},
    {"batch-more", R"(usage: brood batch [options] JOBS.jsonl | -

)",
     "batch", Topic::kBatch, R"(
see also: brood batch --help
)"},
    {"serve", R"(usage: brood serve [options] --socket PATH
       brood serve --status PATH [--json | --prometheus]

Starts children for clients, each under the policy of this server, which a
request can only tighten. As run: --policy, --net, --ro, --rw, --tmpfs,
--hostname, --allow-weaker and limits.

)",
     "serve", Topic::kServe, R"(
Prints a line when it listens. TERM ends it, and all its children. The file has
mode 0600 and is removed at the end.
see also: brood help server | quotas
exit status: 0 ended by a signal, 1 no status, 2 usage, 125 it could not serve
)"},
    {"listen", R"(usage: brood listen [options] --port N -- PROGRAM [ARG...]
       brood listen [options] --socket PATH -- PROGRAM [ARG...]

Starts PROGRAM for each connection, which is its stdin, stdout and stderr, in a
sandbox of its own. As run: --policy, --ro, --net, limits, --env and the like.
--wall-time is 60s where neither the policy nor the command line says one.

)",
     "listen", Topic::kListen, R"(
One line a connection on stderr, or --results. TERM ends all. Who can reach the
address can have the program run: there is no other question asked.
exit status: 0 ended by a signal, 2 usage, 125 it could not listen
)"},
    {"server", R"(Children of a server that runs: brood serve --socket PATH. They have its user,
its preloaded functions, and this caller's streams, environment, directory and
umask; also its nice value and resource limits, where the server's own allow it.
Without --policy they have the server's policy; what is asked for beyond that is
refused. They end with the caller.

)",
     "run", Topic::kServer, R"(
see also: brood serve --help
)"},
    {"status", R"(usage: brood status RESULTS.jsonl

How many jobs of a batch have a result in its journal, by status; how many are
running, or were started and have no result because the batch ended: brood batch
--resume runs those again.
)"},
    {"doctor", R"(usage: brood doctor [--json]

Tries out what this machine can enforce for this user: each layer, by what, and
what to change.

)",
     "doctor", Topic::kEveryday, R"(
exit status: 0 the default policy is enforceable, 1 something of it is missing
)"},
    {"probe", R"(usage: brood probe [options] -- LAUNCHER [ARG...]

Runs hostile programs, each as LAUNCHER ARG... {}/attack NAME..., and judges by
what it sees from outside which of them succeeded. {} is a directory that the
launcher must show, read-only; in the ARGs it is put where {} stands:

  brood probe -- bwrap --ro-bind / / --unshare-all --dev /dev --proc /proc
  brood probe --only network -- brood run --policy default --ro {} --

)",
     "probe", Topic::kEveryday, R"(
What succeeds does no harm, but aims at this machine: signals, settings that are
set to what they are, 256 MiB, 300 processes. See docs/security.md.
exit status: 0 none succeeded, 1 some did, 2 usage, 125 environment,
130 interrupted
)"},
    {"demo", R"(usage: brood demo [options]

Runs honest and hostile jobs over files of this machine, each in a strict
sandbox, and the honest ones again without, and compares.

)",
     "demo", Topic::kEveryday, R"(
exit status: 0 all identical and all stopped, 1 not, 2 usage, 125 environment,
130 interrupted
)"},
    {"policy", R"(usage: brood policy explain [options] NAME|FILE   what it allows, in words
       brood policy explain @GROUP                system calls of a group
       brood policy check FILE                    is it valid, enforceable here?
       brood policy learn [-o FILE] [--] PROGRAM [ARG...]   what PROGRAM needs

)",
     "policy", Topic::kEveryday, R"(
NAME: strict, default, networked, none. A policy file is JSON with // comments.
It extends one of those, or null. A seccomp profile of Docker's is one as well.

  { "extends": "strict",
    "files":    [{"path": "/in"}, {"path": "/out", "access": "rw"}],
    "network":  {"mode": "allow", "to": ["10.0.0.5:443"]},
    "syscalls": [{"names": ["@network", "sysinfo"], "action": "allow"},
                 {"names": ["socket"], "action": "errno", "errno": "EACCES"}],
    "limits":   {"memory": "1G", "processes": 32, "wall_time": "20s"} }

A rule replaces the base's rule for the same path or system call. learn runs
PROGRAM without a sandbox.
)"},
    {"files", R"(What a program sees: the files of its policy, and what these options add.
Nothing else of this machine is visible, not even the current directory: --ro .
shows it. SRC appears at its own path unless DEST is given; the two are split at
the first ":/".

)",
     "run", Topic::kFiles, R"(
see also: brood run --help (--ro, --rw), brood policy explain default
)"},
    {"limits", R"(Limits count the whole tree of processes. One that is asked for is enforced or
the launch fails. Sizes take K, M, G (powers of 1024), times take ms, s, m, h; a
bare number is bytes or seconds.

)",
     "run", Topic::kLimits, R"(
see also: brood run --help
(--wall-time, --cpu-time, --memory, --processes, --output)
)"},
    {"processes", R"(What each process of the program has besides. Priorities can be lowered only: a
program has no right to more than its caller has.

)",
     "run", Topic::kProcesses, R"(
FLAG: addr_no_randomize, addr_compat_layout, uname26. FILE: struct sock_filter,
as seccomp_export_bpf(3) writes it; what it ends is signal SYS, not a violation.
see also: brood help limits
)"},
    {"quotas", R"(What a brood serve gives at once. Without these anybody who is served may have
as many children as the machine takes. One more is refused by the option's
name, and nobody else is disturbed.

)",
     "serve", Topic::kQuotas, R"(
A client is a process that has connected, with what its children ask for.
see also: brood serve --help
)"},
    {"environment",
     R"(strict, default and networked start with PATH, HOME=/tmp, LANG and TERM only;
none inherits. What is given here, and a job's own env, come on top.

)",
     "run", Topic::kEnvironment, R"(
see also: brood run --help (--env)
)"},
    {"jobs", R"(One JSON object a line; empty lines and lines that begin with # are skipped. All
lines are checked before anything runs.

  argv     the program and its arguments, or
  target   a function as for brood call, with its JSON args
  id       unique; default: the line number
  env      ["K=V", "K"]                     cwd             directory inside
  stdin    path; default: /dev/null         stdout, stderr  paths; else captured
  policy   name or file                     retries         further attempts
  limits   {"wall_time":"5s", "memory":"64M", "cpu_time", "processes", "output",
            "file_size", "open_files", "core", "cpus", "cpu_set",
            "cpu_weight", "io_rate", "io_weight", "disk",
            "grace", "rlimits":["stack=64M"]}
  ro, rw, tmpfs, dir, symlink, device, noexec, overlay, overlay_kept,
  overlay_ro, overlay_below, copy_in, copy_out, net     as the options, lists
  label, proc "rw", hostname, groups [44], allow_weaker ["io"]
  tty "24x80"     programs, pipes, stop     several, joined by pipes

  {"id":"a", "argv":["gzip","-t","/data/f.gz"], "ro":["/data"],
   "limits":{"wall_time":"5s"}}                                  (on one line)

Relative paths, that of cwd too, start where brood was called; no two jobs write
one file. What a job says wins over the command line, that over the policy file.
)"},
    {"results", R"(One JSON object a job, or of `brood run` and `brood call --result`:

  v, id, attempt      version 1; the attempt that is reported, from 1
  status              ok, failed, signaled, timeout, memory, cpu, output,
                      violation, setup_failed, lost
  exit_code           null unless it exited
  signal, core        if a signal ended it
  violation           {syscall, nr, args, arch, tid, ip, stack}; numbers in hex
  limits_hit          every limit that refused something, fatal or not
  setup               {step, errno, detail} if it could not be started
  start; wall_s cpu_s ISO 8601, UTC; seconds
  memory_peak_bytes   of the tree; max_rss_bytes of its largest process
  stdout, stderr      {path | text | base64, bytes, truncated, error},
                      1 MiB of each; null: not redirected
  value               what a function returned
  enforced            layer: by what
  kept_groups         supplementary groups that could not be dropped
  refused; copied     [{to, count}] by --net; [{from, to, bytes, problem}]
  notified            [{syscall, nr, count, first_args}] of rules with "notify"

Jobs that were stopped with their batch have no result. A journal (--results
FILE) also has {"event":"started", id, attempt, definition, start} before each
attempt; that has no status.
)"},
    {"exit", R"(brood run, call exit with       when
  the program's own 0 to 255    it exited; so does a function
  128+N                         signal N ended it (memory limit 137, CPU limit
                                152, output limit 153, violation 159)
  124                           wall time
  125                           bad usage, sandbox could not be set up, outcome
                                lost
  126, 127                      not executable, not found

brood batch: 0 all jobs ok, 1 some failed, 2 usage or bad job file,
125 environment, 130 interrupted
Other commands: 0 yes or done, 1 a negative answer, 2 usage, 125 environment
The result object (brood run --result, brood batch --results) tells things apart
exactly.
)"},
};

std::string OptionLines(std::string_view command, Topic topic) {
  std::string lines;
  for (const Option& option : AllOptions()) {
    const std::string_view help = HelpHere(option);
    if (!HasOption(command, option) || option.topic != topic || help.empty()) continue;
    const std::string short_part = option.short_name.empty() ? "    " : absl::StrCat(option.short_name, ", ");
    const std::string long_part = absl::StrCat(option.name, option.argument.empty() ? "" : " ", option.argument);
    const std::string default_part =
        option.default_value.empty() ? "" : absl::StrCat(" [", option.default_value, "]");
    absl::StrAppendFormat(&lines, "  %s%-19s %s%s\n", short_part, long_part, help, default_part);
  }
  return lines;
}

// Null if there is none of that name.
const Page* PageOf(std::string_view name) {
  for (const absl::Span<const Page> pages : {PagesHere(), absl::MakeConstSpan(kPages)}) {
    const auto page = std::find_if(pages.begin(), pages.end(), [&](const Page& each) { return each.name == name; });
    if (page != pages.end()) return &*page;
  }
  return nullptr;
}

}  // namespace

std::string HelpText(std::string_view topic) {
  const Page* const page = PageOf(topic);
  if (page == nullptr) return "";
  return absl::StrCat(page->before, page->command.empty() ? "" : OptionLines(page->command, page->topic), page->after);
}

std::vector<std::string> HelpTopics() {
  std::vector<std::string> names;
  for (const Page& page : kPages) names.emplace_back(page.name);
  for (const Page& page : PagesHere()) {
    if (std::find(names.begin(), names.end(), page.name) == names.end()) names.emplace_back(page.name);
  }
  return names;
}

std::vector<std::string> CommandNames() {
  return {"run", "call", "batch", "serve", "listen", "status", "policy", "doctor", "probe", "demo", "help"};
}

}  // namespace brood
