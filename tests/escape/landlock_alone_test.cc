// The attacks on files, and by TCP, once more where Landlock is all that keeps them off: a caller who may make no namespace accepts
// the weaker form of each.
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "cli/probe/attack_table.h"
#include "cli/probe/try_attack.h"
#include "gtest/gtest.h"
#include "tests/escape/playground.h"

namespace brood {
namespace {

using probe::Attack;
using probe::Verdict;

std::vector<Attack> Attacks() {
  std::vector<Attack> attacks;
  absl::StatusOr<std::vector<Attack>> all = probe::ReadAttacks(AttackProgram());
  EXPECT_TRUE(all.ok()) << all.status();
  if (!all.ok()) return attacks;
  for (Attack& attack : *all) {
    const bool tcp = attack.name == "tcp4" || attack.name == "tcp6" || attack.name == "tcp-mapped" || attack.name == "tcp-fastopen";
    if (attack.family == "file" || attack.family == "shown" || tcp) attacks.push_back(std::move(attack));
  }
  return attacks;
}

std::string TestName(const testing::TestParamInfo<Attack>& param) {
  return absl::StrReplaceAll(param.param.name, {{"-", "_"}});
}

// Brood where user namespaces are forbidden, for a caller without the capabilities that make the others.
probe::Launcher BroodWithLandlockAlone(const std::string& policy) {
  probe::Launcher launcher;
  launcher.words = {"unshare", "--user", "--map-root-user", "sh", "-c",
                    "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"",
                    "sh", BroodProgram(), "run", "--policy", policy,
                    "--allow-weaker", "user,pid,mount,net,ipc,uts,cgroup", "--ro", "{}", "--"};
  launcher.grace = absl::Seconds(10);
  return launcher;
}

Verdict Try(const probe::Launcher& launcher, const Attack& attack) {
  const absl::StatusOr<Verdict> verdict = TryAttack(AttackProgram(), launcher, attack);
  EXPECT_TRUE(verdict.ok()) << verdict.status();
  return verdict.ok() ? *verdict : Verdict{};
}

// What docs/security.md says that Landlock does not keep: it knows no right for what an owner may do to a file besides its
// content, nor for socket files.
bool IsNotLandlocks(const Attack& attack, const std::string& policy) {
  static const auto* const owners = new std::set<std::string>{"shown-chmod", "shown-chown", "shown-utimes", "shown-xattr", "shown-flags", "self-exe"};
  if (owners->count(attack.name) != 0) return true;
  return policy == "default" && (attack.name == "stream-socket-file" || attack.name == "datagram-socket-file");
}

bool IsGranted(const Attack& attack, const std::string& policy) {
  return std::any_of(attack.granted.begin(), attack.granted.end(),
                     [&policy](const std::string& granted) { return granted == "design" || granted == policy; });
}

class LandlockAloneTest : public testing::TestWithParam<Attack> {};

TEST_P(LandlockAloneTest, StopsWhatItShould) {
  if (syscall(SYS_landlock_create_ruleset, nullptr, 0, 1u) < 4) GTEST_SKIP() << "needs Landlock with TCP, Linux 6.7";
  const Attack& attack = GetParam();
  const Verdict plain = Try(probe::PlainLauncher(attack), attack);
  const bool proved = plain.kind == Verdict::Kind::kSucceeded;
  for (const std::string policy : {"strict", "default", "networked"}) {
    const Verdict verdict = Try(BroodWithLandlockAlone(policy), attack);
    const std::string text = absl::StrCat(policy, ": ", VerdictWord(verdict.kind), ": ", verdict.why, "\n", verdict.err);
    if (IsNotLandlocks(attack, policy) || IsGranted(attack, policy)) {
      // Else docs/security.md promises less than there is.
      EXPECT_TRUE(verdict.kind == Verdict::Kind::kSucceeded || !proved) << text;
    } else {
      EXPECT_EQ(VerdictWord(verdict.kind), "stopped") << text;
    }
  }
  if (!proved) GTEST_SKIP() << "cannot be proved here: without a sandbox it is " << VerdictWord(plain.kind) << ": " << plain.why;
}

INSTANTIATE_TEST_SUITE_P(Attacks, LandlockAloneTest, testing::ValuesIn(Attacks()), TestName);

}  // namespace
}  // namespace brood

int main(int argc, char** argv) { return brood::TestsInPlayground(argc, argv); }
