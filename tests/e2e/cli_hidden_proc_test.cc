// `brood run` for a user from whom /proc hides what is not his: how many machines of many users mount it.
#include <unistd.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

// As nobody, in a process namespace of its own, whose /proc is mounted with `options`.
PlainRun AsNobody(const std::string& options, const std::string& command) {
  // A directory that everybody may search.
  const std::string script = absl::StrCat(
      "mount -t tmpfs tmpfs /mnt && cp ", BroodPath(), " /mnt/brood && chmod 755 /mnt/brood && chmod 1777 /mnt && mount -t proc -o ", options,
      " proc /proc && cd / && exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -c '", command, "'");
  return RunPlain({"/usr/bin/unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--", "/bin/sh", "-c", script});
}

class HiddenProcTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can mount a /proc like this";
  }
};

constexpr char kTake[] = "/mnt/brood run --policy default --allow-weaker memory --memory 64M --result /mnt/result -- "
                         "perl -e \"\\$x = q(x) x (300 << 20); print length(\\$x)\"; cat /mnt/result";

TEST_F(HiddenProcTest, WhatCannotBeSampledIsBoundForEachProcessAndToldSo) {
  const PlainRun hidden = AsNobody("hidepid=2", kTake);
  EXPECT_TRUE(absl::StrContains(hidden.out, "RLIMIT_DATA of each process; /proc hides the tree")) << hidden.out << hidden.err;
  EXPECT_FALSE(absl::StrContains(hidden.out, "314572800")) << hidden.out;
}

TEST_F(HiddenProcTest, WhoIsInItsGroupOrIsShownAllIsSampledFor) {
  for (const char* options : {"hidepid=0", "hidepid=2,gid=65534"}) {
    const PlainRun shown = AsNobody(options, kTake);
    EXPECT_TRUE(absl::StrContains(shown.out, "\"status\":\"memory\"")) << options << shown.out << shown.err;
    EXPECT_TRUE(absl::StrContains(shown.out, "sampling of the tree")) << options << shown.out << shown.err;
  }
}

TEST_F(HiddenProcTest, TheDoctorNamesIt) {
  const PlainRun doctor = AsNobody("hidepid=2", "/mnt/brood doctor");
  EXPECT_TRUE(absl::StrContains(doctor.out, "/proc hides the tree from sampling (mounted with hidepid)")) << doctor.out << doctor.err;
}

}  // namespace
}  // namespace brood
