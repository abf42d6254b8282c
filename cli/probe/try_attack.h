// Runs one attack under a launcher and judges by what can be seen from outside whether it succeeded.
#ifndef BROOD_CLI_PROBE_TRY_ATTACK_H_
#define BROOD_CLI_PROBE_TRY_ATTACK_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/probe/attack_table.h"

namespace brood::probe {

struct Launcher {
  // The words before the program: "brood", "run", "--ro", "{}", "--". "{}" in a word stands for the
  // directory that has the program and must be shown inside, read-only.
  std::vector<std::string> words;
  // Where that directory is inside; empty: where it is outside.
  std::string inside;
  absl::Duration patience = absl::Seconds(20);  // For the whole.
  absl::Duration grace = absl::Seconds(1);      // For what it leaves to end, when it has ended.
};

struct Verdict {
  enum class Kind { kSucceeded, kStopped, kUntried };
  Kind kind = Kind::kUntried;
  std::string why;       // What was seen, or what stopped it, or why it could not be tried.
  int launcher_code = 0; // What the launcher ended with: 0 to 255, or -n for signal n.
  std::string err;       // The launcher's standard error.
};

std::string VerdictWord(Verdict::Kind kind);

// `program` is the path of the hostile program. Errors: of the machine; a launcher that fails is a verdict. Leaves no
// process of the attack behind. Reaps every child that the caller has.
absl::StatusOr<Verdict> TryAttack(const std::string& program, const Launcher& launcher, const Attack& attack);

// A launcher that does nothing but to start a process. An attack that wants to outlast its time gets little.
Launcher PlainLauncher(const Attack& attack);

// An attack on nothing, to see whether the launcher runs the program at all.
Attack Control();

}  // namespace brood::probe

#endif  // BROOD_CLI_PROBE_TRY_ATTACK_H_
