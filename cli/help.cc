#include "cli/help.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "cli/options.h"

namespace brood {
namespace {

struct Page {
  std::string_view name;
  std::string_view before;   // Above the options.
  std::string_view command;  // Whose options; "" for none.
  Topic topic;
  std::string_view after;
};

constexpr std::string_view kMore = "more: brood help files | limits | environment | results | exit";

constexpr Page kPages[] = {
    {"brood",
     "usage: brood COMMAND [options] ...\n"
     "\n"
     "Starts sandboxed processes and tells the truth about how they ended.\n"
     "\n"
     "  run     one program\n"
     "  batch   many programs, from a file of job lines; results as JSON Lines\n"
     "  status  a running or finished batch, read from its journal\n"
     "  policy  check a policy file, or print a built-in policy\n"
     "  doctor  what this machine can enforce, and what to change\n"
     "  demo    the main job on real files of this machine\n"
     "  help    help on a command or topic\n"
     "\n"
     "brood COMMAND --help tells more; topics are files, limits, environment, jobs, results, exit.\n"
     "brood --version prints version, commit and build.",
     "", Topic::kEveryday, ""},
    {"run", "usage: brood run [options] [--] PROGRAM [ARG...]\n", "run", Topic::kEveryday,
     "\nexit status: the program's own; 124 time limit, 125 brood failed, 126/127 not runnable/not found,\n"
     "128+N signal N. TERM, INT and HUP are forwarded to the program; a second one kills the tree."},
    {"batch", "usage: brood batch [options] JOBS.jsonl | -\n", "batch", Topic::kEveryday,
     "\nexit status: 0 all jobs ok, 1 some failed, 2 usage or bad job file, 125 environment, 130 interrupted"},
    {"status",
     "usage: brood status RESULTS.jsonl\n\nHow many jobs of a batch have a result in its journal, by status. The batch "
     "may be "
     "running.",
     "", Topic::kEveryday, ""},
    {"doctor",
     "usage: brood doctor [--json]\n\nTries out what this machine can enforce for this user: each layer, by what, and "
     "what to "
     "change if not.\nexit status: 0 the default policy is enforceable, 1 something of it is missing\n",
     "doctor", Topic::kEveryday, ""},
    {"policy",
     "usage: brood policy explain NAME      print a built-in policy: strict, default, networked, none\n"
     "       brood policy check FILE        exit 0 if the policy is valid and enforceable here, else 1\n"
     "\n"
     "A policy file is JSON with // comments. It says what it extends: a built-in policy, or null for no sandbox:\n"
     "  { \"extends\": \"strict\",\n"
     "    \"files\":    [{\"path\": \"/data/in\"}, {\"path\": \"/data/out\", \"access\": \"rw\"},\n"
     "                 {\"tmpfs\": \"/tmp\", \"size\": \"256M\"}],\n"
     "    \"network\":  {\"mode\": \"loopback\"},\n"
     "    \"syscalls\": [{\"names\": [\"@timers\", \"sysinfo\"], \"action\": \"allow\"},\n"
     "                 {\"names\": [\"socket\"], \"action\": \"errno\", \"errno\": \"EACCES\"}],\n"
     "    \"limits\":   {\"memory\": \"1G\", \"processes\": 32, \"wall_time\": \"20s\"},\n"
     "    \"allow_weaker\": [\"landlock\"] }\n"
     "A rule replaces the base's rule for the same path or system call. Limits given here are enforced or the\n"
     "launch fails; those that a built-in brings itself take the strongest form that the machine has.",
     "", Topic::kEveryday, ""},
    {"files",
     "What a program sees: the files of its policy, and what these options add. Nothing else of the machine is\n"
     "visible, the current directory included: --ro . shows it. SRC appears at its own absolute path unless\n"
     "DEST is given; the two are split at the first \":/\".\n",
     "run", Topic::kFiles, "\nsee also: brood run --help (--ro, --rw), brood policy explain default"},
    {"limits",
     "Limits count the whole tree of processes. One that is asked for is enforced or the launch fails; sizes take\n"
     "K, M, G (powers of 1024), times take ms, s, m, h; a bare number is bytes or seconds.\n",
     "run", Topic::kLimits, "\nsee also: brood run --help (--wall-time, --cpu-time, --memory, --processes, --output)"},
    {"environment",
     "strict, default and networked start with PATH, HOME=/tmp, LANG and TERM only; none inherits. What is given\n"
     "here, and a job's own env, come on top.\n",
     "run", Topic::kEnvironment, "\nsee also: brood run --help (--env)"},
    {"jobs",
     "One JSON object a line; empty lines and lines that begin with # are skipped. All lines are checked before\n"
     "anything runs.\n"
     "\n"
     "  argv     the program and its arguments (required)\n"
     "  id       unique; default: the line number\n"
     "  env      [\"K=V\", \"K\"]                         cwd     directory inside\n"
     "  stdin    path; default: /dev/null              stdout, stderr  paths; default: captured\n"
     "  policy   name or file                          retries further attempts\n"
     "  limits   {\"wall_time\":\"5s\", \"memory\":\"64M\", \"cpu_time\", \"processes\", \"output\", \"file_size\",\n"
     "            \"open_files\", \"core\"}\n"
     "  ro, rw, tmpfs  lists, as the options           net     as the option\n"
     "\n"
     "  "
     "{\"id\":\"a\",\"argv\":[\"gzip\",\"-t\",\"/data/f.gz\"],\"ro\":[\"/"
     "data\"],\"policy\":\"strict\",\"limits\":{\"wall_time\":\"5s\"}}\n"
     "\n"
     "What a job says itself wins over the command line, that over the policy file.\n",
     "batch", Topic::kBatch, ""},
    {"results",
     "One JSON object a job, or of `brood run --result`:\n"
     "\n"
     "  v, id, attempt      version 1; the attempt that is reported, from 1\n"
     "  status              ok, failed, signaled, timeout, memory, cpu, output, violation, setup_failed, lost\n"
     "  exit_code           null unless it exited\n"
     "  signal, core        if a signal ended it\n"
     "  violation           {syscall, nr, args, arch, tid, ip}; args and ip are hexadecimal text\n"
     "  limits_hit          every limit that refused something, whether or not the job ended by it\n"
     "  setup               {step, errno, detail} if it could not be started\n"
     "  start               ISO 8601, UTC\n"
     "  wall_s, cpu_s       seconds\n"
     "  memory_peak_bytes   of the tree; max_rss_bytes of its largest process\n"
     "  stdout, stderr      {path | text | base64, bytes, truncated}; 1 MiB of each is kept. null: not redirected\n"
     "  enforced            layer: by what\n"
     "  kept_groups         supplementary groups that could not be dropped\n"
     "\n"
     "Jobs that were stopped with their batch have no result.",
     "", Topic::kEveryday, ""},
    {"exit",
     "brood run exits with            when\n"
     "  the program's own 0 to 255    it exited\n"
     "  128+N                         signal N ended it (memory limit 137, CPU limit 152, output limit 153,\n"
     "                                violation 159)\n"
     "  124                           wall time\n"
     "  125                           bad usage, policy or sandbox could not be set up, outcome lost\n"
     "  126, 127                      not executable, not found\n"
     "brood batch: 0 all jobs ok, 1 some failed, 2 usage or bad job file, 125 environment, 130 interrupted.\n"
     "Other commands: 0 yes or done, 1 a negative answer, 2 usage, 125 environment.\n"
     "The result object (brood run --result, brood batch --results) tells things apart exactly.",
     "", Topic::kEveryday, ""},
};

std::string OptionLines(std::string_view command, Topic topic) {
  std::string lines;
  for (const Option& option : AllOptions()) {
    if (!HasOption(command, option) || option.topic != topic) continue;
    const std::string short_part = option.short_name.empty() ? "    " : absl::StrCat(option.short_name, ", ");
    const std::string long_part = absl::StrCat(option.name, option.argument.empty() ? "" : " ", option.argument);
    const std::string default_part =
        option.default_value.empty() ? "" : absl::StrCat("  [default: ", option.default_value, "]");
    absl::StrAppendFormat(&lines, "  %s%-22s %s%s\n", short_part, long_part, option.help, default_part);
  }
  return lines;
}

}  // namespace

std::string HelpText(std::string_view topic) {
  for (const Page& page : kPages) {
    if (page.name != topic) continue;
    std::string text = absl::StrCat(page.before, "\n");
    if (!page.command.empty()) absl::StrAppend(&text, OptionLines(page.command, page.topic));
    if (!page.after.empty()) absl::StrAppend(&text, absl::StripPrefix(page.after, "\n"), "\n");
    const bool is_run = page.name == "run" || page.name == "batch";
    if (is_run) absl::StrAppend(&text, kMore, page.name == "batch" ? " | jobs" : "", "\n");
    return text;
  }
  return "";
}

std::vector<std::string> HelpTopics() {
  std::vector<std::string> names;
  for (const Page& page : kPages) names.emplace_back(page.name);
  return names;
}

std::vector<std::string> CommandNames() { return {"run", "batch", "status", "policy", "doctor", "demo", "help"}; }

}  // namespace brood
