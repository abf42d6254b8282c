#include "cli/probe/try_attack.h"

#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "cli/probe/run_command.h"
#include "cli/probe/stage.h"

namespace brood::probe {
namespace {

// Stays as the parent of its command; with nothing behind it a shell may turn into it.
constexpr char kShell[] = R"("$@"; exit $?)";

// More than a launcher passes on that has a limit.
constexpr uint64_t kTooMuchOutput = 32u << 20;

// What the attack said: lines that begin with the nonce.
struct Said {
  bool begun = false;
  bool leaked = false;    // The secret.
  std::string succeeded;  // The first.
  std::string stopped;    // The last.
};

Said Understand(const std::string& out, const Stage& stage) {
  Said said;
  const std::string prefix = stage.nonce() + " ";
  for (std::string_view line : absl::StrSplit(out, '\n')) {
    if (!absl::ConsumePrefix(&line, prefix)) continue;
    if (absl::StartsWith(line, "begins ")) said.begun = true;
    if (absl::ConsumePrefix(&line, "leaked ")) said.leaked |= absl::StrContains(line, stage.secret());
    if (absl::ConsumePrefix(&line, "succeeded ") && said.succeeded.empty()) said.succeeded = std::string(line);
    if (absl::ConsumePrefix(&line, "stopped ")) said.stopped = std::string(line);
  }
  return said;
}

std::string LastLine(const std::string& text) {
  std::string last;
  for (const std::string_view line : absl::StrSplit(text, '\n', absl::SkipWhitespace())) last = std::string(line);
  return last;
}

std::string CodeText(const CommandEnd& end) {
  return end.code < 0 ? absl::StrCat("signal ", -end.code) : absl::StrCat("exit code ", end.code);
}

// "" if there is none; what goes by itself within the grace is none. One that forks and ends all the time is missed by most
// looks, so that it takes many without one.
std::string Survivor(const std::string& nonce, absl::Duration grace) {
  constexpr int kLooks = 10;
  constexpr absl::Duration kQuiet = absl::Milliseconds(500);
  const absl::Time begin = absl::Now();
  absl::Time seen = begin;
  for (int without = 0;;) {
    const absl::Time now = absl::Now();
    if (AnyProcessWith(nonce)) {
      if (now >= begin + grace) return "a process of it is alive";
      seen = now;
      without = 0;
    } else if (++without >= kLooks && now > seen + kQuiet) {
      return "";
    }
    absl::SleepFor(absl::Milliseconds(2));
  }
}

// A message is in the listener a moment after it was sent, when the kernel is busy.
std::string HarmSoon(Stage& stage) {
  const absl::Time deadline = absl::Now() + absl::Milliseconds(300);
  for (;;) {
    std::string harm = stage.Harm();
    if (!harm.empty() || absl::Now() > deadline) return harm;
    absl::SleepFor(absl::Milliseconds(5));
  }
}

// "" or what proves the success, by the witness that the table asks for.
std::string Proof(const Attack& attack, const Launcher& launcher, const CommandEnd& end, const Said& said, Stage& stage) {
  switch (attack.witness) {
    case Attack::Witness::kClaim:
      return said.succeeded;
    case Attack::Witness::kSecret:
      return said.leaked ? "it tells the secret" : "";
    case Attack::Witness::kOutside:
      return said.succeeded.empty() ? stage.Harm() : HarmSoon(stage);
    case Attack::Witness::kSurvivor:
      return Survivor(stage.nonce(), launcher.grace);
    case Attack::Witness::kTime:
      return end.timed_out && !ProcessesWith(stage.nonce()).empty() ? "it runs on" : "";
    case Attack::Witness::kOutput:
      return end.bytes >= kTooMuchOutput ? absl::StrCat(end.bytes, " bytes came out") : "";
  }
  return "";
}

Verdict Judge(const Attack& attack, const Launcher& launcher, const CommandEnd& end, Stage& stage) {
  const Said said = Understand(end.out, stage);
  Verdict verdict;
  verdict.launcher_code = end.code;
  verdict.err = end.err;
  std::string proof = Proof(attack, launcher, end, said, stage);
  // Whatever it was to try, the secret may not come out and nothing outside may change.
  if (proof.empty() && said.leaked) proof = "it tells the secret";
  if (proof.empty() && attack.witness != Attack::Witness::kOutside) proof = stage.Harm();
  if (!proof.empty()) {
    verdict.kind = Verdict::Kind::kSucceeded;
    verdict.why = std::move(proof);
  } else if (!said.begun) {
    verdict.why = absl::StrCat("the launcher did not start it: ", end.timed_out ? "no end within the time" : CodeText(end));
    if (const std::string line = LastLine(end.err); !line.empty()) absl::StrAppend(&verdict.why, ", ", line);
  } else {
    verdict.kind = Verdict::Kind::kStopped;
    const bool ended = absl::StrContains(end.out, absl::StrCat(stage.nonce(), " ends "));
    verdict.why = !said.stopped.empty() ? said.stopped : ended ? "without effect outside" : "";
    if (!ended) {
      absl::StrAppend(&verdict.why, verdict.why.empty() ? "" : "; then ",
                      end.timed_out ? "it hung" : absl::StrCat("ended by the launcher: ", CodeText(end)));
    }
  }
  return verdict;
}

}  // namespace

std::string VerdictWord(Verdict::Kind kind) {
  switch (kind) {
    case Verdict::Kind::kSucceeded:
      return "succeeded";
    case Verdict::Kind::kStopped:
      return "stopped";
    case Verdict::Kind::kUntried:
      return "untried";
  }
  return "";
}

Launcher PlainLauncher(const Attack& attack) {
  const bool waits = attack.witness == Attack::Witness::kTime;
  return {.words = {"/bin/sh", "-c", kShell, "sh"},
          .inside = "",
          .patience = waits ? absl::Seconds(1) : absl::Seconds(20),  // A busy machine takes a while to start it.
          .grace = absl::ZeroDuration()};
}

Attack Control() {
  Attack attack;
  attack.name = "control";
  attack.tries = "says that it runs";
  return attack;
}

absl::StatusOr<Verdict> TryAttack(const std::string& program, const Launcher& launcher, const Attack& attack) {
  BROOD_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> stage, Stage::Create(program, attack));
  Command command;
  // Some attacks aim at the process above them, which must not be us: a launcher may turn into its program by an exec.
  command.argv = {"/bin/sh", "-c", kShell, "sh"};
  command.patience = launcher.patience;
  for (const std::string& word : launcher.words) {
    command.argv.push_back(absl::StrReplaceAll(word, {{"{}", stage->shown()}}));
  }
  const std::string inside = launcher.inside.empty() ? stage->shown() : launcher.inside;
  command.argv.insert(command.argv.end(), {inside + "/attack", attack.name, stage->nonce()});
  for (std::string& fact : stage->Facts()) {
    if (absl::StartsWith(fact, "shown=")) fact = absl::StrCat("shown=", inside);
    command.argv.push_back(std::move(fact));
  }
  command.terminal = stage->terminal();
  command.prepare = [&] { stage->BurdenLauncher(); };
  // Some attacks want to see what becomes of them when the launcher is killed.
  const std::string request = stage->nonce() + " asks kill-launcher";
  command.enough = [&](const std::string& out) { return absl::StrContains(out, request); };
  BROOD_ASSIGN_OR_RETURN(const CommandEnd end, RunCommand(command));
  Verdict verdict = Judge(attack, launcher, end, *stage);
  bool ended = KillProcessesWith(stage->nonce());
  // The first look may have missed what a longer one has found.
  if (attack.witness == Attack::Witness::kSurvivor && verdict.kind == Verdict::Kind::kSucceeded) {
    while (ended && !Survivor(stage->nonce(), absl::ZeroDuration()).empty()) ended = KillProcessesWith(stage->nonce());
  }
  if (!ended) {
    return absl::InternalError(absl::StrCat("end the processes of ", attack.name, ": some stay, those with the argument ",
                                            stage->nonce()));
  }
  return verdict;
}

}  // namespace brood::probe
