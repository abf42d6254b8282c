// brood probe: tries attacks under any launcher, and says which succeed.
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "batch/suggest.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/printable.h"
#include "cli/probe/attack_table.h"
#include "cli/probe/run_command.h"
#include "cli/probe/try_attack.h"
#include "cli/runfiles.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

using probe::Attack;
using probe::Launcher;
using probe::Verdict;

struct Tried {
  Attack attack;
  Verdict verdict;
};

absl::StatusOr<std::vector<Attack>> Chosen(const std::string& program, const std::vector<std::string>& only) {
  BROOD_ASSIGN_OR_RETURN(std::vector<Attack> attacks, probe::ReadAttacks(program));
  if (only.empty()) return attacks;
  std::vector<std::string> names;
  for (const Attack& attack : attacks) names.insert(names.end(), {attack.family, attack.name});
  for (const std::string& word : only) {
    if (std::find(names.begin(), names.end(), word) == names.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--only: no attack and no family \"", word, "\"", DidYouMean(word, names), "; see --list"));
    }
  }
  const auto unwanted = [&](const Attack& attack) {
    return std::find(only.begin(), only.end(), attack.name) == only.end() &&
           std::find(only.begin(), only.end(), attack.family) == only.end();
  };
  attacks.erase(std::remove_if(attacks.begin(), attacks.end(), unwanted), attacks.end());
  return attacks;
}

std::string AttackJson(const Attack& attack) {
  return absl::StrCat("\"name\":", JsonText(attack.name), ",\"family\":", JsonText(attack.family),
                      ",\"tries\":", JsonText(attack.tries), ",\"success\":", JsonText(WitnessText(attack.witness)),
                      ",\"stopped_by\":", JsonText(attack.stopper));
}

std::string List(const std::vector<Attack>& attacks, bool json) {
  std::string text;
  for (const Attack& attack : attacks) {
    if (json) {
      absl::StrAppend(&text, text.empty() ? "" : ",", "{", AttackJson(attack), ",\"granted_by\":",
                      JsonText(absl::StrJoin(attack.granted, " ")), "}");
    } else {
      absl::StrAppendFormat(&text, "%-10s %-22s %s; in brood: %s%s\n", attack.family, attack.name, attack.tries,
                            attack.stopper,
                            attack.granted.empty() ? "" : absl::StrCat("; allowed by ", absl::StrJoin(attack.granted, " ")));
    }
  }
  return json ? absl::StrCat("{\"v\":1,\"attacks\":[", text, "]}\n") : text;
}

// What a crash of a launcher leaves mounted stays in here. Others than root cannot mount outside of a namespace.
absl::Status EnterPrivateMounts() {
  if (geteuid() != 0) return absl::OkStatus();
  if (unshare(CLONE_NEWNS) != 0) return ErrnoStatus(errno, "unshare", "the mount namespace");
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return ErrnoStatus(errno, "mount", "/ as private");
  return absl::OkStatus();
}

// Signals that would end us with an attack half done are looked at between two.
bool Interrupted() {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGHUP) == 1;
}

void HoldSignals() {
  sigset_t held;
  sigemptyset(&held);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&held, number);
  sigprocmask(SIG_BLOCK, &held, nullptr);
}

// An attack that is stopped though nothing but the machine stops it proves nothing about the launcher.
absl::StatusOr<Verdict> TryBoth(const std::string& program, const Launcher& launcher, const Attack& attack) {
  BROOD_ASSIGN_OR_RETURN(Verdict verdict, TryAttack(program, launcher, attack));
  if (verdict.kind != Verdict::Kind::kStopped) return verdict;
  BROOD_ASSIGN_OR_RETURN(const Verdict plain, TryAttack(program, probe::PlainLauncher(attack), attack));
  if (plain.kind == Verdict::Kind::kSucceeded) return verdict;
  verdict.kind = Verdict::Kind::kUntried;
  verdict.why = absl::StrCat("does not succeed here without a launcher either: ", plain.why);
  return verdict;
}

std::string Summary(const std::map<Verdict::Kind, size_t>& counts) {
  const auto count = [&](Verdict::Kind kind) {
    const auto found = counts.find(kind);
    return found == counts.end() ? size_t{0} : found->second;
  };
  return absl::StrCat(count(Verdict::Kind::kSucceeded), " succeeded, ", count(Verdict::Kind::kStopped), " stopped, ",
                      count(Verdict::Kind::kUntried), " could not be tried");
}

std::string Line(const Tried& tried) {
  return absl::StrFormat("%-9s  %-10s %-22s %s: %s\n", VerdictWord(tried.verdict.kind), tried.attack.family,
                         tried.attack.name, tried.attack.tries, Printable(tried.verdict.why));
}

std::string Json(const Launcher& launcher, const std::vector<Tried>& all, const std::map<Verdict::Kind, size_t>& counts) {
  std::vector<std::string> words;
  for (const std::string& word : launcher.words) words.push_back(JsonText(word));
  std::vector<std::string> entries;
  for (const Tried& tried : all) {
    entries.push_back(absl::StrCat("{", AttackJson(tried.attack), ",\"verdict\":",
                                   JsonText(VerdictWord(tried.verdict.kind)), ",\"why\":", JsonText(tried.verdict.why), "}"));
  }
  std::string totals;
  for (const Verdict::Kind kind : {Verdict::Kind::kSucceeded, Verdict::Kind::kStopped, Verdict::Kind::kUntried}) {
    const auto found = counts.find(kind);
    absl::StrAppend(&totals, "\"", VerdictWord(kind), "\":", found == counts.end() ? 0 : found->second, ",");
  }
  return absl::StrCat("{\"v\":1,\"launcher\":[", absl::StrJoin(words, ","), "],\"uid\":", geteuid(), ",", totals,
                      "\"attacks\":[", absl::StrJoin(entries, ","), "]}\n");
}

absl::StatusOr<int> Run(const std::string& program, const Launcher& launcher, const std::vector<Attack>& attacks, bool json) {
  BROOD_RETURN_IF_ERROR(EnterPrivateMounts());
  // What attacks leave running becomes ours, so that it can be ended and reaped.
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return ErrnoStatus(errno, "PR_SET_CHILD_SUBREAPER");
  HoldSignals();
  const absl::StatusOr<Verdict> tried_control = TryAttack(program, launcher, probe::Control());
  probe::EndLeftovers();
  BROOD_ASSIGN_OR_RETURN(const Verdict control, tried_control);
  if (control.kind != Verdict::Kind::kSucceeded) {
    return absl::FailedPreconditionError(
        absl::StrCat("the launcher does not run the attack program: ", Printable(control.why),
                     "; \"{}\" in its words stands for the directory that it must show, read-only if it can"));
  }
  std::vector<Tried> all;
  std::map<Verdict::Kind, size_t> counts;
  for (const Attack& attack : attacks) {
    if (Interrupted()) return kExitInterrupted;
    absl::StatusOr<Verdict> tried = TryBoth(program, launcher, attack);
    probe::EndLeftovers();
    BROOD_ASSIGN_OR_RETURN(Verdict verdict, std::move(tried));
    ++counts[verdict.kind];
    all.push_back({attack, std::move(verdict)});
    if (!json && !PrintOut(Line(all.back()))) return kExitBroodFailed;
  }
  if (!PrintOut(json ? Json(launcher, all, counts) : absl::StrCat(Summary(counts), "\n"))) return kExitBroodFailed;
  return counts[Verdict::Kind::kSucceeded] == 0 ? kExitOk : kExitNegative;
}

}  // namespace

int ProbeMain(const std::vector<std::string>& args) {
  const absl::StatusOr<ParsedOptions> options = ParseOptions("probe", args);
  if (!options.ok()) return ReportUsage("probe", options.status(), kExitUsage);
  const absl::StatusOr<absl::Duration> patience = ParseTime(options->Value("--patience", "5s"));
  if (!patience.ok()) return ReportUsage("probe", Annotate(patience.status(), "--patience"), kExitUsage);
  const std::string inside = options->Value("--inside");
  if (options->Has("--inside") && (inside.empty() || inside[0] != '/')) {
    return ReportUsage("probe", absl::InvalidArgumentError("--inside: must be an absolute path"), kExitUsage);
  }
  const absl::StatusOr<std::string> directory = RunfilesDirectory("tests/escape/bin");
  if (!directory.ok()) {
    PrintError("probe", directory.status().message());
    return kExitBroodFailed;
  }
  const std::string program = *directory + "/attack";
  const absl::StatusOr<std::vector<Attack>> attacks = Chosen(program, options->Values("--only"));
  if (!attacks.ok()) {
    if (absl::IsInvalidArgument(attacks.status())) return ReportUsage("probe", attacks.status(), kExitUsage);
    PrintError("probe", attacks.status().message());
    return kExitBroodFailed;
  }
  if (options->Has("--list")) {
    return PrintOut(List(*attacks, options->Has("--json"))) ? kExitOk : kExitBroodFailed;
  }
  if (options->operands().empty()) {
    return ReportUsage("probe", absl::InvalidArgumentError("LAUNCHER is missing; `env` is one that stops nothing"), kExitUsage);
  }
  const Launcher launcher = {.words = options->operands(), .inside = inside, .patience = *patience};
  const absl::StatusOr<int> code = Run(program, launcher, *attacks, options->Has("--json"));
  if (code.ok()) return *code;
  PrintError("probe", code.status().message());
  return kExitBroodFailed;
}

}  // namespace brood
