// What the tests of slots share.
#ifndef BROOD_LAUNCHER_SLOT_TESTING_H_
#define BROOD_LAUNCHER_SLOT_TESTING_H_

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "launcher/server.h"
#include "sandbox/machine.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"

namespace brood {

// Targets of more than one of these tests, by name (slot_testing.cc); these by themselves, too.
void WriteTmp();
[[noreturn]] void Spin();

// Calls of a server with slots.
class SlotTest : public testing::Test {
 protected:
  void SetUp() override { setenv("BROOD_TEST_SECRET", "1", 1); }

  void Start(const Policy& policy) {
    const auto plan = CompilePolicy(policy);
    ASSERT_TRUE(plan.ok()) << plan.status();
    absl::StatusOr<Server> server = Server::Start({}, *plan);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = std::make_unique<Server>(*std::move(server));
  }
  void StartStrict() {
    const absl::StatusOr<Policy> policy = BuiltinPolicy("strict");
    ASSERT_TRUE(policy.ok());
    Start(*policy);
  }

  Outcome Call(std::string_view target) {
    const absl::StatusOr<Outcome> outcome = server_->Call(target);
    EXPECT_TRUE(outcome.ok()) << target << ": " << outcome.status();
    return outcome.value_or(Outcome());
  }

  static bool LimitsMemory() { return !ThisMachine().cgroups.memory.empty() || !ThisMachine().cgroups.unified.empty(); }

  // Where children have groups that limit their processes; empty: nowhere.
  static std::string GroupsAt() { return ThisMachine().cgroups.unified.empty() ? ThisMachine().cgroups.pids : ThisMachine().cgroups.unified; }

  // Those there that our own children have made: "brood-child-PID-N".
  static std::vector<std::string> GroupsOfChildren() {
    std::vector<std::string> groups;
    for (const auto& entry : std::filesystem::directory_iterator(GroupsAt())) {
      const std::string name = entry.path().filename();
      if (!absl::StartsWith(name, "brood-child-")) continue;
      std::ifstream status(absl::StrCat("/proc/", atoi(name.c_str() + 12), "/status"));
      const std::string text((std::istreambuf_iterator<char>(status)), std::istreambuf_iterator<char>());
      if (absl::StrContains(text, absl::StrCat("\nPPid:\t", getpid(), "\n"))) groups.push_back(entry.path());
    }
    return groups;
  }

  std::unique_ptr<Server> server_;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_SLOT_TESTING_H_
