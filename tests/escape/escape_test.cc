// Every attack of the table succeeds without a sandbox, as far as this machine lets it, and is stopped by each built-in
// policy that does not grant it.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cli/probe/attack_table.h"
#include "cli/probe/try_attack.h"
#include "gtest/gtest.h"
#include "tests/escape/playground.h"

namespace brood {
namespace {

using probe::Attack;
using probe::TryAttack;
using probe::Verdict;

std::vector<Attack> Attacks() {
  absl::StatusOr<std::vector<Attack>> attacks = probe::ReadAttacks(AttackProgram());
  if (attacks.ok()) return *std::move(attacks);
  ADD_FAILURE() << attacks.status();
  return {};
}

std::string TestName(const testing::TestParamInfo<Attack>& param) {
  return absl::StrReplaceAll(param.param.name, {{"-", "_"}});
}

Verdict Try(const probe::Launcher& launcher, const Attack& attack) {
  const absl::StatusOr<Verdict> verdict = TryAttack(AttackProgram(), launcher, attack);
  EXPECT_TRUE(verdict.ok()) << verdict.status();
  return verdict.ok() ? *verdict : Verdict{};
}

probe::Launcher BroodRun(const std::string& policy, const std::vector<std::string>& options) {
  probe::Launcher launcher;
  launcher.words = {BroodProgram(), "run", "--policy", policy, "--ro", "{}"};
  launcher.words.insert(launcher.words.end(), options.begin(), options.end());
  launcher.words.emplace_back("--");
  launcher.grace = absl::Seconds(10);  // A busy machine takes its time to end what is killed.
  return launcher;
}

bool Grants(const Attack& attack, const std::string& policy) {
  const auto& granted = attack.granted;
  return std::find(granted.begin(), granted.end(), policy) != granted.end() ||
         std::find(granted.begin(), granted.end(), "design") != granted.end();
}

// Whether it must succeed here if nothing stops it.
bool MustWork(const Attack& attack) {
  switch (attack.provable) {
    case Attack::Provable::kAnywhere:
      return true;
    case Attack::Provable::kRoot:
      return geteuid() == 0;
    case Attack::Provable::kUser:
      return geteuid() != 0;
    case Attack::Provable::kMachine:
      return false;
  }
  return false;
}

// A limit for the whole tree takes a cgroup, which a user may not have. Then nothing is started, rather than unlimited.
bool RefusedToStart(const Verdict& verdict) {
  return geteuid() != 0 && verdict.kind == Verdict::Kind::kUntried &&
         absl::StrContains(verdict.why, "limit memory cannot be enforced here");
}

class EscapeTest : public testing::TestWithParam<Attack> {};

TEST_P(EscapeTest, IsStoppedByEachPolicyThatDoesNotGrantIt) {
  const Attack& attack = GetParam();
  const Verdict plain = Try(probe::PlainLauncher(attack), attack);
  const bool proved = plain.kind == Verdict::Kind::kSucceeded;
  EXPECT_TRUE(proved || !MustWork(attack)) << "without a sandbox: " << VerdictWord(plain.kind) << ": " << plain.why;
  for (const std::string policy : {"strict", "default", "networked"}) {
    const Verdict verdict = Try(BroodRun(policy, attack.options), attack);
    const std::string text = absl::StrCat(policy, ": ", VerdictWord(verdict.kind), ": ", verdict.why, "\n", verdict.err);
    if (Grants(attack, policy)) {
      // Else the table, and with it docs/security.md, promises less than there is.
      EXPECT_TRUE(verdict.kind == Verdict::Kind::kSucceeded || !proved) << text;
    } else {
      EXPECT_TRUE(verdict.kind == Verdict::Kind::kStopped || RefusedToStart(verdict) ||
                  (verdict.kind == Verdict::Kind::kUntried && !proved))
          << text;
    }
  }
  if (!proved) GTEST_SKIP() << "cannot be proved here: without a sandbox it is " << VerdictWord(plain.kind) << ": " << plain.why;
}

INSTANTIATE_TEST_SUITE_P(Attacks, EscapeTest, testing::ValuesIn(Attacks()), TestName);

TEST(AttackTableTest, NoTwoAttacksHaveOneName) {
  std::set<std::string> names;
  for (const Attack& attack : Attacks()) EXPECT_TRUE(names.insert(attack.name).second) << attack.name;
}

Attack Named(const std::string& name) {
  for (const Attack& attack : Attacks()) {
    if (attack.name == name) return attack;
  }
  ADD_FAILURE() << "no attack " << name;
  return {};
}

// With a grace that is as long as that of a sandbox.
TEST(ProbeTest, SeesWhatForksAndEndsAllTheTimeAndWhatIsInTheMiddleOfAnExec) {
  for (const char* name : {"fork-comet", "exec-while-ending"}) {
    const Verdict verdict = Try({.words = {"env"}, .grace = absl::Seconds(4)}, Named(name));
    EXPECT_EQ(verdict.kind, Verdict::Kind::kSucceeded) << name << ": " << verdict.why;
  }
}

TEST(ProbeTest, TakesAwayWhatAnAttackHasMadeThatWasEnded) {
  if (geteuid() != 0) GTEST_SKIP() << "others have files in this /tmp; root's is its own";
  const auto left = [] {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator("/tmp")) names.insert(entry.path().filename().string());
    return names;
  };
  const std::set<std::string> before = left();
  EXPECT_EQ(Try({.words = {"env"}, .patience = absl::Milliseconds(500)}, Named("blocks-in-fifo")).kind, Verdict::Kind::kSucceeded);
  EXPECT_EQ(left(), before);
}

TEST(ProbeTest, SaysUntriedOfALauncherThatRunsNothing) {
  EXPECT_EQ(Try({.words = {"false"}}, probe::Control()).kind, Verdict::Kind::kUntried);
  EXPECT_EQ(Try({.words = {"echo"}}, probe::Control()).kind, Verdict::Kind::kUntried);
  EXPECT_EQ(Try(probe::PlainLauncher({}), probe::Control()).kind, Verdict::Kind::kSucceeded);
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) { return brood::TestsInPlayground(argc, argv); }
