// The table of attacks, as the hostile program itself tells it: see tests/escape/attacks/attack.h.
#ifndef BROOD_CLI_PROBE_ATTACK_TABLE_H_
#define BROOD_CLI_PROBE_ATTACK_TABLE_H_

#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace brood::probe {

struct Attack {
  enum class Witness { kClaim, kSecret, kOutside, kSurvivor, kTime, kOutput };
  enum class Provable { kAnywhere, kRoot, kUser, kMachine };

  std::string name;
  std::string family;
  Witness witness = Witness::kClaim;
  Provable provable = Provable::kAnywhere;
  std::string tries;                 // "connects to 127.0.0.1 of the host".
  std::string stopper;               // By what brood stops it.
  std::vector<std::string> granted;  // Built-in policies that allow it; "design" for all.
  std::vector<std::string> options;  // Of `brood run`: the limit that it breaks.
};

// For the messages of tests.
inline void PrintTo(const Attack& attack, std::ostream* out) { *out << attack.name << " (" << attack.tries << ")"; }

// What must be seen before an attack counts as a success.
std::string WitnessText(Attack::Witness witness);

// `program` is the path of the hostile program.
absl::StatusOr<std::vector<Attack>> ReadAttacks(const std::string& program);

}  // namespace brood::probe

#endif  // BROOD_CLI_PROBE_ATTACK_TABLE_H_
