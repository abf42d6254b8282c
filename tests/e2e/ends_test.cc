// How a program ended: each way has a word of its own, and what belongs to it.
#include <csignal>
#include <functional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

class EndsTest : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Policies, EndsTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

// The shell's code of several is the same, so that it is the word by which they are told apart.
TEST_P(EndsTest, EachHasAWordOfItsOwn) {
  struct End {
    std::vector<std::string> argv;
    std::string word;
    std::function<void(Policy&)> policy;
    std::function<void(LaunchOptions&)> options;
  };
  const End ends[] = {
      {{"exits_with", "0"}, "ok", nullptr, nullptr},
      {{"exits_with", "137"}, "failed", nullptr, nullptr},
      {{"raises_kill"}, "signaled", nullptr, nullptr},
      {{"sleeps_forever"}, "timeout", [](Policy& p) { p.limits.wall_time = absl::Milliseconds(300); }, nullptr},
      {{"memory_bomb", "512"}, "memory", [](Policy& p) { p.default_limits.memory_bytes = 64 << 20; }, nullptr},
      {{"spins_forever"}, "cpu", [](Policy& p) { p.default_limits.cpu_time = absl::Seconds(1); }, nullptr},
      {{"writes_forever", "both"}, "output", [](Policy& p) { p.limits.output_bytes = 1 << 20; }, nullptr},
      {{"mounts_tmpfs"}, "violation", nullptr, nullptr},
      {{"does_nothing"}, "setup_failed", nullptr, [](LaunchOptions& options) { options.argv = {"/no/such/program"}; }},
  };
  std::set<std::string> words;
  for (const End& end : ends) {
    if (end.word == "memory" && !IsRoot()) continue;  // Without a cgroup a program may be refused memory before it is seen to have too much.
    const Ended run = RunProgram(GetParam(), end.argv, {.policy = end.policy, .options = end.options});
    EXPECT_EQ(run.outcome.StatusWord(), end.word) << run.Text();
    EXPECT_EQ(std::holds_alternative<Violation>(run.outcome.ending), end.word == "violation") << run.Text();
    EXPECT_EQ(std::holds_alternative<Signaled>(run.outcome.ending), end.word == "signaled") << run.Text();
    EXPECT_TRUE(words.insert(std::string(run.outcome.StatusWord())).second) << run.Text();
  }
}

// By every layer that the policy asks for, in the words of docs/results.md.
TEST_P(EndsTest, WhatWasEnforcedIsToldOfEveryLayerThatThePolicyHas) {
  const Ended run = RunProgram(GetParam(), {"does_nothing"}, {.policy = [](Policy& p) { p.limits.wall_time = absl::Seconds(60); p.limits.output_bytes = 1 << 20; }});
  ASSERT_TRUE(run.outcome.ok()) << run.Text();
  const Policy policy = BuiltinPolicy(GetParam()).value();
  std::vector<Layer> expected(policy.namespaces.begin(), policy.namespaces.end());
  expected.insert(expected.end(), {Layer::kCapabilities, Layer::kNoNewPrivs, Layer::kSeccomp, Layer::kLandlock, Layer::kTree, Layer::kWallTime, Layer::kOutput,
                                   Layer::kProcesses, Layer::kOpenFiles});
  for (const Layer layer : expected) {
    if (GetParam() == "strict" && layer == Layer::kOpenFiles) continue;
    const auto by = run.outcome.enforced.find(layer);
    ASSERT_NE(by, run.outcome.enforced.end()) << LayerName(layer);
    EXPECT_FALSE(by->second.empty()) << LayerName(layer);
  }
  EXPECT_EQ(run.outcome.enforced.at(Layer::kTree), "pid namespace");
  EXPECT_EQ(run.outcome.enforced.at(Layer::kNoNewPrivs), "no_new_privs");
  EXPECT_EQ(run.outcome.enforced.count(Layer::kTime), 0u) << "no policy has asked for it";
}

}  // namespace
}  // namespace brood
