// `brood run --exec-label` where no module has labels, and what is told of one. That it holds launcher/label_test sees.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"
#include "tests/e2e/layers.h"

namespace brood {
namespace {

class LabelOptionTest : public LayersTest {};
INSTANTIATE_TEST_SUITE_P(Policies, LabelOptionTest, testing::Values("strict", "default", "none"), [](const auto& param) { return param.param; });

TEST_P(LabelOptionTest, WithoutAModuleIsAnErrorUnlessItsAbsenceIsAccepted) {
  const PlainRun doctor = Brood({"doctor", "--json"});
  const std::string row = "{\"layer\":\"label\",\"here\":\"no\",\"by_what\":\"\",\"why\":\"neither AppArmor nor SELinux runs here\",\"remedy\":\"boot a kernel";
  if (!absl::StrContains(doctor.out, row)) GTEST_SKIP() << "here one runs: " << doctor.out;
  const PlainRun run = Brood({"run", "--policy", GetParam(), "--exec-label", "brood-job", "--", "echo", "ran"});
  EXPECT_EQ(run.code, 125);
  EXPECT_EQ(run.out, "");
  EXPECT_TRUE(absl::StrContains(run.err, "label: neither AppArmor nor SELinux runs here; boot a kernel that has one")) << run.err;
  EXPECT_TRUE(absl::StrContains(run.err, "--allow-weaker label")) << run.err;
  const PlainRun weaker = Brood({"run", "--policy", GetParam(), "--exec-label", "brood-job", "--allow-weaker", "label", "--result", Result(), "--", "echo", "ran"});
  EXPECT_EQ(weaker.out, "ran\n") << weaker.err;
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), "\"label\":\"weaker: absent, neither AppArmor nor SELinux runs here\"")) << FileContent(Result());
}

TEST_P(LabelOptionTest, AFileSaysItTooAndItIsToldInWords) {
  const std::string file = With("\"label\": \"brood job\"")[1];
  EXPECT_TRUE(absl::StrContains(Brood({"policy", "explain", file}).out, "  programs under the label brood job of AppArmor or SELinux\n")) << Brood({"policy", "explain", file}).out;
}

TEST_P(LabelOptionTest, BadOnesAreNamed) {
  const PlainRun option = Brood({"run", "--policy", GetParam(), "--exec-label", " a", "--", "echo", "ran"});
  EXPECT_EQ(option.code, 125);
  EXPECT_EQ(option.out, "");
  EXPECT_TRUE(absl::StrContains(option.err, "--exec-label: expected the name of an AppArmor profile, or a SELinux context")) << option.err;
  const PlainRun file = Run("\n\"label\": \"\"", {"does_nothing"});
  EXPECT_TRUE(absl::StrContains(file.err, "/policy.json:2: field \"label\": expected the name of an AppArmor profile")) << file.err;
}

}  // namespace
}  // namespace brood
