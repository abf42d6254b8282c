// `brood probe`, end to end: it tells a launcher that stops an attack from one that does not.
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "cli/probe/run_command.h"
#include "cli/testdata/brood_under_test.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

Finished Probe(std::vector<std::string> args) {
  args.insert(args.begin(), "probe");
  return RunBrood(args);
}

const std::vector<std::string>& BroodRun() {
  static const auto* words =
      new std::vector<std::string>{Resolved("cli/brood"), "run", "--policy", "strict", "--ro", "{}", "--"};
  return *words;
}

std::vector<std::string> With(std::vector<std::string> options, const std::vector<std::string>& launcher) {
  options.push_back("--");
  options.insert(options.end(), launcher.begin(), launcher.end());
  return options;
}

TEST(ProbeTest, ALauncherThatStopsNothingIsToldSo) {
  const Finished run = Probe({"--only", "environment", "--only", "secret-file", "--", "env"});
  EXPECT_EQ(run.exit_code, 1) << run.err;
  EXPECT_TRUE(Contains(run.out, "succeeded  launcher   environment ")) << run.out;
  EXPECT_TRUE(Contains(run.out, "succeeded  file       secret-file ")) << run.out;
  EXPECT_TRUE(Contains(run.out, "\n2 succeeded, 0 stopped, 0 could not be tried\n")) << run.out;
}

TEST(ProbeTest, ALauncherThatStopsThemIsToldSo) {
  const Finished run = Probe(With({"--only", "environment", "--only", "secret-file"}, BroodRun()));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_TRUE(Contains(run.out, "0 succeeded, 2 stopped, 0 could not be tried\n")) << run.out;
}

TEST(ProbeTest, ALauncherThatSwallowsExitCodesAndOutputDoesNotHideWhatHappenedOutside) {
  const std::vector<std::string> quiet = {"sh", "-c", R"("$@" >&2; case $2 in control) echo "$3 succeeded it runs";; esac; true)", "sh"};
  // Its control is swallowed, too: it cannot be tried at all, which is not the same as stopped.
  const Finished run = Probe(With({"--only", "creates-file"}, {"sh", "-c", "\"$@\" >/dev/null 2>&1; true", "sh"}));
  EXPECT_EQ(run.exit_code, 125);
  EXPECT_TRUE(Contains(run.err, "does not run the attack program")) << run.err;
  const Finished seen = Probe(With({"--only", "creates-file"}, quiet));
  EXPECT_EQ(seen.exit_code, 1) << seen.err;
  EXPECT_TRUE(Contains(seen.out, "succeeded  file       creates-file ")) << seen.out;
  EXPECT_TRUE(Contains(seen.out, "made-by-attack was made")) << seen.out;
}

TEST(ProbeTest, TheResultAsJsonNamesEachAttackAndWhatWasSeen) {
  const Finished run = Probe(With({"--json", "--only", "session-keyring", "--only", "ptrace"}, BroodRun()));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_TRUE(Contains(run.out, R"("succeeded":0,)")) << run.out;
  EXPECT_TRUE(Contains(run.out, R"("name":"ptrace","family":"process")")) << run.out;
  EXPECT_TRUE(Contains(run.out, R"("verdict":"stopped","why":")")) << run.out;
}

TEST(ProbeTest, WrongUsageIsNamed) {
  const Finished unknown = Probe({"--only", "netwrk", "--", "env"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_TRUE(Contains(unknown.err, R"(no attack and no family "netwrk"; did you mean "network"?)")) << unknown.err;
  const Finished missing = Probe({});
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_TRUE(Contains(missing.err, "LAUNCHER is missing")) << missing.err;
  EXPECT_EQ(Probe({"--inside", "relative", "--", "env"}).exit_code, 2);
  EXPECT_EQ(Probe({"--patience", "soon", "--", "env"}).exit_code, 2);
}

TEST(ProbeTest, ALauncherThatCannotRunTheProgramIsAnErrorAndNoSuccess) {
  const Finished run = Probe({"--", "false"});
  EXPECT_EQ(run.exit_code, 125);
  EXPECT_TRUE(Contains(run.err, "the launcher does not run the attack program")) << run.err;
  const Finished hidden = Probe({"--", Resolved("cli/brood"), "run", "--policy", "strict", "--"});
  EXPECT_EQ(hidden.exit_code, 125);
  EXPECT_TRUE(Contains(hidden.err, "\"{}\" in its words")) << hidden.err;
}

TEST(ProbeTest, AnAttackOnItsParentDoesNotHitTheProbeThatAdoptedIt) {
  for (const char* attack : {"kills-launcher", "stops-launcher"}) {
    // The parent of the program leaves at once, so that it comes to the probe; cat ends when it does.
    const Finished run =
        Probe({"--only", attack, "--patience", "1s", "--", "sh", "-c", "setsid --fork \"$@\" | cat", "sh"});
    EXPECT_GE(run.exit_code, 0) << attack << run.out << run.err;
  }
}

// One that forgets what it has started, and one that does not end: what both leave would run on.
TEST(ProbeTest, NothingIsLeftOfALauncher) {
  const std::string seconds = absl::StrCat("7", getpid());
  const Finished forgets = Probe({"--only", "environment", "--", "sh", "-c", absl::StrCat("setsid sleep ", seconds, " & exec \"$@\""), "sh"});
  EXPECT_EQ(forgets.exit_code, 1) << forgets.err;
  EXPECT_FALSE(probe::AnyProcessWith(seconds));
  const Finished hangs = Probe({"--only", "environment", "--patience", "300ms", "--", "sh", "-c", absl::StrCat("sleep ", seconds, "; true")});
  EXPECT_EQ(hangs.exit_code, 125);
  EXPECT_FALSE(probe::AnyProcessWith(seconds));
}

TEST(ProbeTest, TheListNamesEachAttackOnce) {
  const Finished list = Probe({"--list", "--only", "abi"});
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_TRUE(Contains(list.out, "abi        int80-getpid ")) << list.out;
  EXPECT_FALSE(Contains(list.out, "network")) << list.out;
}

}  // namespace
}  // namespace brood
