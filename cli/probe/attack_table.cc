#include "cli/probe/attack_table.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "cli/probe/run_command.h"

namespace brood::probe {
namespace {

constexpr std::string_view kWitnesses[] = {"claim", "secret", "outside", "survivor", "time", "output"};
constexpr std::string_view kProvables[] = {"anywhere", "root", "user", "machine"};

template <typename Enum, size_t kCount>
bool Find(const std::string_view (&words)[kCount], std::string_view word, Enum* value) {
  const auto* found = std::find(std::begin(words), std::end(words), word);
  if (found == std::end(words)) return false;
  *value = static_cast<Enum>(found - std::begin(words));
  return true;
}

}  // namespace

std::string WitnessText(Attack::Witness witness) {
  switch (witness) {
    case Attack::Witness::kClaim:
      return "its own word, with a number that only it was told";
    case Attack::Witness::kSecret:
      return "it tells the secret that it was to find";
    case Attack::Witness::kOutside:
      return "something outside has changed";
    case Attack::Witness::kSurvivor:
      return "a process of it outlives the launcher";
    case Attack::Witness::kTime:
      return "it runs on when its time is over";
    case Attack::Witness::kOutput:
      return "more came out than a launcher should pass on";
  }
  return "";
}

absl::StatusOr<std::vector<Attack>> ReadAttacks(const std::string& program) {
  BROOD_ASSIGN_OR_RETURN(const std::string text, OutputOf({program, "--list"}));
  std::vector<Attack> attacks;
  for (const std::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> cells = absl::StrSplit(line, '\t');
    Attack attack;
    if (cells.size() != 8 || !Find(kWitnesses, cells[2], &attack.witness) || !Find(kProvables, cells[3], &attack.provable)) {
      return absl::InternalError(absl::StrCat("read the attacks of ", program, ": not a line of the table: ", line));
    }
    attack.name = cells[0];
    attack.family = cells[1];
    attack.tries = cells[4];
    attack.stopper = cells[5];
    attack.granted = absl::StrSplit(cells[6], ' ', absl::SkipEmpty());
    attack.options = absl::StrSplit(cells[7], ' ', absl::SkipEmpty());
    attacks.push_back(std::move(attack));
  }
  if (attacks.empty()) return absl::InternalError(absl::StrCat("read the attacks of ", program, ": it has none"));
  return attacks;
}

}  // namespace brood::probe
