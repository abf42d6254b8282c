// `brood run --pass-fd`: descriptors that a program gets besides its standard streams.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

class PassFdTest : public testing::TestWithParam<const char*> {
 protected:
  // By a shell that opens `redirections` for brood.
  PlainRun Run(const std::string& redirections, const std::string& options, const std::string& script) {
    return RunPlain({"sh", "-c", absl::StrCat("exec '", BroodPath(), "' run --policy ", GetParam(), " ", options, " -- sh -c '", script, "' ", redirections), directory_.path()});
  }
  TemporaryDirectory directory_;
};
INSTANTIATE_TEST_SUITE_P(Policies, PassFdTest, testing::Values("strict", "default", "none"), [](const auto& param) { return param.param; });

constexpr char kList[] = "for n in 0 1 2 3 4 5 6 7 8 9; do if { true <&$n; } 2>/dev/null; then echo $n; fi; done";

TEST_P(PassFdTest, ThoseThatAreNamedArriveAndNoOther) {
  Write(directory_.path() + "/file", "content\n");
  const std::string three = "7<$0/file 8>$0/out 9</dev/null";
  EXPECT_EQ(Run(three, "", kList).out, "0\n1\n2\n");
  EXPECT_EQ(Run(three, "--pass-fd 7 --pass-fd 8:5", kList).out, "0\n1\n2\n5\n7\n");
  const PlainRun run = Run(three, "--pass-fd 7:6 --pass-fd 8:7", "cat <&6; echo written >&7");
  EXPECT_EQ(run.out, "content\n") << run.err;
  EXPECT_EQ(FileContent(directory_.path() + "/out"), "written\n");
}

// As of `nsjail -X`: a file that is not shown.
TEST_P(PassFdTest, TheProgramCanBeOne) {
  const PlainRun run = RunPlain({"sh", "-c", absl::StrCat("cp /bin/sh $0/program && exec '", BroodPath(), "' run --policy ", GetParam(),
                                                          " --pass-fd 7 -- /proc/self/fd/7 -c 'test -e \"$1\" || echo not shown; echo ran' sh $0/program 7<$0/program"), directory_.path()});
  EXPECT_EQ(run.out, std::string_view(GetParam()) == "none" ? "ran\n" : "not shown\nran\n") << run.err;
}

TEST_P(PassFdTest, WhatIsNotTheCallersIsAnErrorBeforeAnythingRuns) {
  const auto refused = [&](const std::string& option, const std::string& why) {
    const PlainRun run = Run("7<$0", "--pass-fd " + option, "echo ran");
    EXPECT_EQ(run.code, 125) << option;
    EXPECT_EQ(run.out, "") << option;
    EXPECT_TRUE(absl::StrContains(run.err, why)) << option << run.err;
  };
  refused("6", "no such descriptor is open; a shell opens it by 6<FILE");
  refused("7:9", "is a directory, through which a program could leave its root; show it by --ro or --rw");
  refused("1", "are the standard streams");
  refused("x", "expected FD[:NUMBER]");
  refused("7:", "expected FD[:NUMBER]");
  refused("-1:5", "expected FD[:NUMBER]");
  // Of brood's own there is none to be had, whatever it has opened by then.
  const PlainRun mine = RunPlain({"sh", "-c", "for n in 3 4 5 6 8 9 11 12 13 14 15 16 17 18 19; do test -e /proc/self/fd/$n || echo $n; done"});
  const std::vector<std::string> free = absl::StrSplit(mine.out, '\n', absl::SkipEmpty());
  EXPECT_GT(free.size(), 5u) << mine.out;
  for (const std::string& number : free) refused(number, "no such descriptor is open");
}

}  // namespace
}  // namespace brood
