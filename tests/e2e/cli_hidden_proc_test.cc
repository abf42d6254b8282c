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

constexpr char kNobody[] = "setpriv --reuid 65534 --regid 65534 --clear-groups";

// As root, in a process namespace of its own, whose /proc is mounted with `options`.
PlainRun AsRoot(const std::string& options, const std::string& command) {
  // A directory that everybody may search.
  const std::string script = absl::StrCat(
      "mount -t tmpfs tmpfs /mnt && cp ", BroodPath(), " /mnt/brood && chmod 755 /mnt/brood && chmod 1777 /mnt && mount -t proc -o ", options,
      " proc /proc && cd / && ", command);
  return RunPlain({"/usr/bin/unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--", "/bin/sh", "-c", script});
}

PlainRun AsNobody(const std::string& options, const std::string& command) {
  return AsRoot(options, absl::StrCat("exec ", kNobody, " sh -c '", command, "'"));
}

// Root asks a server of nobody's, by a program of 10 s at most.
PlainRun AskServer(const std::string& options, const std::string& policy, const std::string& client) {
  return AsRoot(options, absl::StrCat("mkfifo /mnt/ready; ", kNobody, " /mnt/brood serve --socket /mnt/s --allow-uid 0 --policy ", policy,
                                      " >/mnt/ready 2>/mnt/log & read line </mnt/ready; { timeout 10 ", client,
                                      " /mnt/brood run --server /mnt/s --server-uid 65534 -- echo served; echo code $?; } 2>&1 | cat; cat /mnt/log >&2"));
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

// Whom the server cannot see may be below a child of its own, and would get more than that has.
TEST_F(HiddenProcTest, AServerThatCannotSeeItsClientSaysSoAtOnceWithTheRemedy) {
  for (const char* options : {"hidepid=1", "hidepid=2"}) {
    const PlainRun asked = AskServer(options, "none", "");
    EXPECT_TRUE(absl::StrContains(asked.out, "code 125")) << options << asked.out << asked.err;
    EXPECT_TRUE(absl::StrContains(asked.out, "mounted with hidepid, does not show process")) << options << asked.out << asked.err;
    EXPECT_TRUE(absl::StrContains(asked.out, "mount it with gid=GROUP")) << options << asked.out;
  }
  const PlainRun shown = AskServer("hidepid=2,gid=65534", "none", "");
  EXPECT_TRUE(absl::StrContains(shown.out, "served\ncode 0")) << shown.out << shown.err;
}

TEST_F(HiddenProcTest, WhoCannotBeAChildOfTheServersIsServed) {
  for (const std::string& client : {std::string(), absl::StrCat(kNobody, " ")}) {
    const PlainRun asked = AskServer("hidepid=2", "default", client);
    EXPECT_TRUE(absl::StrContains(asked.out, "served\ncode 0")) << client << asked.out << asked.err;
  }
}

TEST_F(HiddenProcTest, TheDoctorNamesIt) {
  const PlainRun doctor = AsNobody("hidepid=2", "/mnt/brood doctor");
  EXPECT_TRUE(absl::StrContains(doctor.out, "/proc hides the tree from sampling (mounted with hidepid)")) << doctor.out << doctor.err;
}

}  // namespace
}  // namespace brood
