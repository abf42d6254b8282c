#include "cli/demo_attacks.h"

#include <filesystem>
#include <system_error>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "sandbox/layer.h"

namespace brood {
namespace {

// A place that every sandbox shows, and that only root could write to.
constexpr char kSystemFile[] = "/usr/brood-demo-was-here";

struct Spec {
  std::string what;
  std::vector<std::string> argv;  // argv[0] is the name of the program.
  std::set<std::string> statuses;
  std::string syscall;
  std::function<std::string()> evidence;
  Limits limits;
};

std::string EnforcedBy(const Outcome& outcome, Layer layer) {
  const auto found = outcome.enforced.find(layer);
  return found == outcome.enforced.end() ? "" : absl::StrCat(", kept by ", found->second);
}

// The last line in which the program says that it was refused.
std::string Refusal(const std::string& output) {
  std::string last;
  for (const absl::string_view line : absl::StrSplit(output, '\n')) {
    if (absl::StartsWith(line, "refused: ")) last = std::string(absl::StripPrefix(line, "refused: "));
  }
  return last;
}

}  // namespace

absl::StatusOr<std::vector<Attack>> HostileJobs(const std::string& programs, DemoTargets& targets) {
  const auto no_connection = [&targets] { return targets.Connection(); };
  const auto outsider_lives = [&targets] { return targets.Outsider(); };
  const auto nothing_written = [&targets]() -> std::string {
    std::error_code error;
    if (std::filesystem::exists(kSystemFile, error)) return absl::StrCat(kSystemFile, " was written");
    return targets.Directory();
  };
  const std::string file = absl::StrCat(targets.directory(), "/was-here");

  // A limit that is changed here only to keep the demo short is a stricter one than the policy's own.
  Limits one_second_cpu;
  one_second_cpu.cpu_time = absl::Seconds(1);
  Limits one_second;
  one_second.wall_time = absl::Seconds(1);
  Limits two_seconds;
  two_seconds.wall_time = absl::Seconds(2);

  std::vector<Spec> specs = {
      {"connects to the network",
       {"connects_out", absl::StrCat(targets.port()), "elsewhere"},
       {"violation"},
       "socket",
       no_connection,
       {}},
      {"writes outside", {"writes_outside", file, kSystemFile}, {"failed"}, "", nothing_written, {}},
      {"reads /etc/shadow", {"reads_shadow"}, {"failed"}, "", nullptr, {}},
      {"fork bomb", {"fork_bomb", "sandboxed"}, {"timeout"}, "", nullptr, two_seconds},
      {"memory bomb", {"memory_bomb", "2048"}, {"memory"}, "", nullptr, {}},
      {"memory bomb in 24 processes", {"memory_bomb_spread", "24", "64"}, {"memory"}, "", nullptr, {}},
      {"endless loop", {"spins_forever"}, {"cpu"}, "", nullptr, one_second_cpu},
      {"endless output", {"writes_forever"}, {"output"}, "", nullptr, {}},
      {"ptrace of its parent", {"ptraces_parent"}, {"violation"}, "ptrace", nullptr, {}},
      {"becomes root", {"gains_setuid"}, {"violation"}, "setresuid", nullptr, {}},
      {"mounts a file system", {"mounts_tmpfs"}, {"violation"}, "mount", nullptr, {}},
      {"kills a process outside",
       {"kills_outsider", absl::StrCat(targets.outsider())},
       {"failed", "violation"},
       "pidfd_open",
       outsider_lives,
       {}},
      {"leaves a daemon", {"leaves_daemon", file}, {"ok"}, "", nothing_written, {}},
      {"stops its parent", {"stops_parent", "sandboxed"}, {"timeout"}, "", nullptr, one_second},
      {"ignores every signal", {"ignores_all_signals"}, {"timeout"}, "", nullptr, one_second},
      {"fills /tmp", {"fills_tmp", "8", "32"}, {"failed", "memory"}, "", nullptr, {}},
      {"makes an io_uring", {"opens_io_uring"}, {"failed"}, "", nullptr, {}},
      {"makes a user namespace", {"unshares_user"}, {"violation"}, "unshare", nullptr, {}},
      {"calls the i386 ABI", {"int80_call"}, {"violation"}, "", nullptr, {}},
      {"types into the terminal", {"tiocsti"}, {"violation"}, "ioctl", nullptr, {}},
  };

  std::vector<Attack> attacks;
  for (Spec& spec : specs) {
    const std::string program = spec.argv[0];
    std::error_code error;
    // Bazel's runfiles are symbolic links, which would dangle inside.
    const std::filesystem::path source = std::filesystem::canonical(absl::StrCat(programs, "/", program), error);
    if (error) return absl::NotFoundError(absl::StrCat("find ", programs, "/", program, ": ", error.message()));
    Attack attack;
    attack.what = std::move(spec.what);
    attack.statuses = std::move(spec.statuses);
    attack.syscall = std::move(spec.syscall);
    attack.job.id = absl::StrCat("hostile: ", attack.what);
    attack.job.argv = std::move(spec.argv);
    attack.job.argv[0] = absl::StrCat(targets.inside(), "/", program);
    attack.job.cwd = "/";
    attack.job.policy = "strict";
    attack.job.options.limits = spec.limits;
    attack.job.options.files.push_back({.source = source.string(), .destination = attack.job.argv[0]});
    attack.evidence = [&targets, program, own = std::move(spec.evidence)] {
      const std::string harm = own ? own() : "";
      return harm.empty() ? targets.LeftProcess(program) : harm;
    };
    attacks.push_back(std::move(attack));
  }
  return attacks;
}

std::string Judge(const Attack& attack, const JobEnd& end) {
  const std::string status(end.outcome.StatusWord());
  if (attack.statuses.count(status) == 0) {
    return absl::StrCat("expected ", absl::StrJoin(attack.statuses, " or "), ", got: ", end.outcome.ToString());
  }
  if (absl::StrContains(end.stdout_stream.content, "worked: ")) return "it says that it worked";
  // Whoever exits by itself must have been refused something; a daemon's parent only must be gone with its daemon.
  if (status == "failed" && Refusal(end.stdout_stream.content).empty()) return "it does not say what was refused";
  if (const auto* violation = std::get_if<Violation>(&end.outcome.ending)) {
    if (!attack.syscall.empty() && violation->syscall != attack.syscall) {
      return absl::StrCat("expected a violation by ", attack.syscall, ", got ", violation->syscall);
    }
  }
  return attack.evidence ? attack.evidence() : "";
}

std::string StoppedBy(const JobEnd& end) {
  const Outcome& outcome = end.outcome;
  if (const auto* violation = std::get_if<Violation>(&outcome.ending)) {
    return absl::StrCat("system call filter: ", violation->syscall, violation->arch == "x86_64" ? "" : " of ",
                        violation->arch == "x86_64" ? "" : violation->arch);
  }
  if (const auto* limit = std::get_if<LimitHit>(&outcome.ending)) {
    return absl::StrCat(LayerName(limit->limit), " limit", EnforcedBy(outcome, limit->limit));
  }
  if (std::holds_alternative<TimedOut>(outcome.ending)) {
    std::string text;
    for (const Layer layer : outcome.limits_hit) {
      if (layer != Layer::kWallTime)
        absl::StrAppend(&text, LayerName(layer), " limit", EnforcedBy(outcome, layer), "; then ");
    }
    return absl::StrCat(text, "wall time");
  }
  const std::string refusal = Refusal(end.stdout_stream.content);
  if (!refusal.empty()) return absl::StrCat("refused: ", refusal);
  if (outcome.ok()) return absl::StrCat("killed with its tree", EnforcedBy(outcome, Layer::kTree));
  return outcome.ToString();
}

}  // namespace brood
