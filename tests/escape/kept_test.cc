// No attack succeeds in a sandbox that a server keeps from one program to the next that would not succeed in one of its own.
// That each succeeds without a sandbox is escape_test's to prove.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cli/probe/attack_table.h"
#include "cli/probe/run_command.h"
#include "cli/probe/try_attack.h"
#include "gtest/gtest.h"
#include "tests/escape/playground.h"

namespace brood {
namespace {

using probe::Attack;
using probe::Verdict;

constexpr char kSocket[] = "/tmp/kept.sock";

// A `brood serve` for all cases. It asks nothing of its clients' policies, accepts what attacks do, and ends with us.
class ServeEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    server_ = fork();
    ASSERT_GE(server_, 0);
    if (server_ == 0) {
      execl(BroodProgram().c_str(), "brood", "serve", "--policy", "none", "--allow-weaker", "memory,cpu_time", "--socket", kSocket, nullptr);
      _exit(127);
    }
    // It answers once it is there; until then the client says that nobody is.
    while (Sandbox() == "") ASSERT_EQ(waitpid(server_, nullptr, WNOHANG), 0) << "brood serve has ended";
  }
  void TearDown() override {
    if (server_ <= 0) return;
    kill(server_, SIGTERM);
    waitpid(server_, nullptr, 0);
  }

  static std::string Sandbox() {
    const absl::StatusOr<probe::CommandEnd> end =
        probe::RunCommand({.argv = {BroodProgram(), "run", "--server", kSocket, "--policy", "default", "--", "readlink", "/proc/self/ns/mnt"}});
    return end.ok() && end->code == 0 ? end->out : "";
  }

 private:
  pid_t server_ = -1;
};

[[maybe_unused]] const auto* const g_environment = testing::AddGlobalTestEnvironment(new ServeEnvironment);

std::vector<Attack> Attacks() {
  absl::StatusOr<std::vector<Attack>> attacks = probe::ReadAttacks(AttackProgram());
  if (attacks.ok()) return *std::move(attacks);
  ADD_FAILURE() << attacks.status();
  return {};
}

bool Grants(const Attack& attack, const std::string& policy) {
  const auto& granted = attack.granted;
  return std::find(granted.begin(), granted.end(), policy) != granted.end() ||
         std::find(granted.begin(), granted.end(), "design") != granted.end();
}

class KeptTest : public testing::TestWithParam<Attack> {};

TEST_P(KeptTest, DoesNotSucceedWhereThePolicyDoesNotGrantIt) {
  const Attack& attack = GetParam();
  for (const std::string policy : {"strict", "default"}) {
    if (Grants(attack, policy)) continue;
    probe::Launcher launcher;
    launcher.words = {BroodProgram(), "run", "--server", kSocket, "--policy", policy, "--ro", "{}"};
    launcher.words.insert(launcher.words.end(), attack.options.begin(), attack.options.end());
    launcher.words.emplace_back("--");
    launcher.grace = absl::Seconds(10);
    const absl::StatusOr<Verdict> verdict = TryAttack(AttackProgram(), launcher, attack);
    ASSERT_TRUE(verdict.ok()) << verdict.status();
    // One that was not started has not been stopped.
    EXPECT_EQ(probe::VerdictWord(verdict->kind), "stopped") << policy << ": " << verdict->why << "\n" << verdict->err;
  }
}

INSTANTIATE_TEST_SUITE_P(Attacks, KeptTest, testing::ValuesIn(Attacks()),
                         [](const auto& param) { return absl::StrReplaceAll(param.param.name, {{"-", "_"}}); });

TEST(KeptSandboxTest, IsTheSameForTheNextProgram) { EXPECT_EQ(ServeEnvironment::Sandbox(), ServeEnvironment::Sandbox()); }

}  // namespace
}  // namespace brood

int main(int argc, char** argv) { return brood::TestsInPlayground(argc, argv); }
