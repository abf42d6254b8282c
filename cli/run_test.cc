// `brood run`, end to end: what it prints and what it exits with.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "cli/testdata/brood_under_test.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

Finished RunHelper(std::string_view name, std::vector<std::string> options = {}) {
  const std::string helper = Helper(name);
  std::vector<std::string> args = {"run", "--ro", helper};
  args.insert(args.end(), options.begin(), options.end());
  args.push_back(helper);
  return RunBrood(args);
}

TEST(RunTest, ExitsWithTheProgramsOwnCodeAndSaysNothing) {
  for (const int code : {0, 1, 7, 124, 125, 126, 127, 137, 255}) {
    const Finished run = RunBrood({"run", "--", "sh", "-c", "exit " + std::to_string(code)});
    EXPECT_EQ(run.exit_code, code);
    EXPECT_EQ(run.err, "");
  }
}

TEST(RunTest, SignalsOfTheProgramAreTrue) {
  EXPECT_EQ(RunHelper("raises_segv").exit_code, 128 + SIGSEGV);
  EXPECT_EQ(RunHelper("raises_kill").exit_code, 128 + SIGKILL);
  EXPECT_EQ(RunHelper("aborts").exit_code, 128 + SIGABRT);
}

TEST(RunTest, TheResultTellsExit137FromDeathByKill) {
  const std::string killed = TempFile("killed.json", "");
  RunHelper("raises_kill", {"--result", killed});
  EXPECT_TRUE(Contains(FileContent(killed), R"("status":"signaled","exit_code":null,"signal":9)"))
      << FileContent(killed);
  const std::string exited = TempFile("exited.json", "");
  RunBrood({"run", "--result", exited, "sh", "-c", "exit 137"});
  EXPECT_TRUE(Contains(FileContent(exited), R"("status":"failed","exit_code":137,"signal":null)"))
      << FileContent(exited);
}

TEST(RunTest, MissingAndNotExecutableProgramsAre127And126WithALine) {
  const Finished missing = RunBrood({"run", "no-such-program"});
  EXPECT_EQ(missing.exit_code, 127);
  EXPECT_TRUE(Contains(missing.err, "ENOENT")) << missing.err;
  const Finished plain = RunBrood({"run", "--", "/usr/share/dict/../../bin/../lib/os-release"});
  EXPECT_EQ(plain.exit_code, 126) << plain.err;
}

TEST(RunTest, TheWallTimeLimitIs124WithALine) {
  const Finished run = RunBrood({"run", "--wall-time", "100ms", "--", "sleep", "1000"});
  EXPECT_EQ(run.exit_code, 124);
  EXPECT_TRUE(Contains(run.err, "wall time limit")) << run.err;
}

TEST(RunTest, AViolationIs159AndNamesTheSystemCall) {
  const std::string result = TempFile("violation.json", "");
  const Finished run =
      RunBrood({"run", "--policy", "strict", "--result", result, "--", "python3", "-c", "import os; os.setreuid(0, 0)"});
  EXPECT_EQ(run.exit_code, 159);
  EXPECT_TRUE(Contains(run.err, "setreuid")) << run.err;
  EXPECT_TRUE(Contains(FileContent(result), R"("violation":{"syscall":"setreuid","nr":113,)")) << FileContent(result);
}

TEST(RunTest, AViolationHasItsArgumentsInWords) {
  const std::string result = TempFile("words.json", "");
  const Finished run = RunBrood({"run", "--policy", "strict", "--result", result, "--", "python3", "-c", "import os; os.chroot('/tmp/a')"});
  EXPECT_TRUE(Contains(run.err, ": chroot(\"/tmp/a\"); allowed by ")) << run.err;
  EXPECT_TRUE(Contains(FileContent(result), R"("decoded":["\"/tmp/a\""])")) << FileContent(result);
}

TEST(RunTest, TheLineThatAllowsACallIsOneOfTheFilesForm) {
  const std::string profile = TempFile("profile.json", R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getpgid"], "action": "SCMP_ACT_KILL"}]})");
  const Finished run = RunBrood({"run", "--policy", profile, "--", "python3", "-c", "import os; os.getpgid(0)"});
  EXPECT_EQ(run.exit_code, 159) << run.err;
  EXPECT_TRUE(Contains(run.err, R"(; allowed by {"names": ["getpgid"], "action": "SCMP_ACT_ALLOW"} as the first in "syscalls" of )" + profile)) << run.err;
}

// Whether the line helps, wherever it stands, is tried before it is named.
TEST(RunTest, NoLineIsSaidToAllowWhatARuleOfTheFileItselfForbids) {
  const auto message = [](const std::string& rule, const std::string& call) {
    const std::string policy = TempFile("forbids.json", R"({"extends": "default", "syscalls": [)" + rule + "]}");
    const Finished run = RunBrood({"run", "--policy", policy, "--", "python3", "-c", "import os, fcntl; " + call});
    EXPECT_EQ(run.exit_code, 159) << run.err;
    return run.err;
  };
  const std::string of_its_own = message(R"({"names": ["getpgid"], "action": "kill"})", "os.getpgid(0)");
  EXPECT_TRUE(Contains(of_its_own, R"(; forbidden by a rule for getpgid in "syscalls" of )")) << of_its_own;
  const std::string wider = message(R"({"names": ["fcntl"], "args": [{"index": 1, "op": ">=", "value": 1032}], "action": "kill"}, {"names": ["fcntl"], "action": "allow"})",
                                    "fcntl.fcntl(0, 1032)");
  EXPECT_TRUE(Contains(wider, R"("value": "0x408", "width": 32}], "action": "allow"} as the first in "syscalls" of )")) << wider;
  const std::string of_a_group = message(R"({"names": ["@identity-change"], "action": "kill"})", "os.setreuid(0, 0)");
  EXPECT_TRUE(Contains(of_a_group, R"(; allowed by {"names": ["setreuid"], "action": "allow"} in "syscalls" of )")) << of_a_group;
}

TEST(RunTest, NoLineOfAFileIsSaidToAllowWhatAnOptionForbids) {
  const Finished run = RunBrood({"run", "--policy", "strict", "--net", "loopback", "--", "python3", "-c", "import socket; socket.socket(17, 3)"});
  EXPECT_EQ(run.exit_code, 159) << run.err;
  EXPECT_TRUE(Contains(run.err, R"(; forbidden by the rules that --net brings: leave it out, and say "network" in the policy; then allowed by {"names": ["socket"],)")) << run.err;
}

TEST(RunTest, ACheckForLeaksIsToldWithTheVariableThatTurnsItOff) {
  const std::string source = TempFile("leaks.c", "int main(void) { return 0; }");
  const std::string program = TempFile("leaks", "");
  if (std::system(("gcc -fsanitize=address -o " + program + " " + source + " 2>/dev/null").c_str()) != 0) GTEST_SKIP() << "no gcc that has AddressSanitizer";
  const auto run = [&](std::vector<std::string> with) {
    with.insert(with.begin(), {"run", "--policy", "default", "--ro", program});
    with.insert(with.end(), {"--", program});
    return RunBrood(with);
  };
  const Finished checks = run({});
  if (checks.exit_code == 1) GTEST_SKIP() << "what AddressSanitizer reserves is more than this machine lets a process have: " << checks.err;
  EXPECT_EQ(checks.exit_code, 159) << checks.err;
  EXPECT_TRUE(Contains(checks.err, "; that is the program's own look for leaks at its end, which --env LSAN_OPTIONS=detect_leaks=0 turns off")) << checks.err;
  const Finished does_not = run({"--env", "LSAN_OPTIONS=detect_leaks=0"});
  EXPECT_EQ(does_not.exit_code, 0) << does_not.err;
}

TEST(RunTest, TheOutputLimitIs153) { EXPECT_EQ(RunBrood({"run", "--output", "1K", "--", "yes"}).exit_code, 153); }

TEST(RunTest, WhatIsReadMustBeAFileOrAPipe) {
  const std::string fifo = TempFile("fifo", "");
  unlink(fifo.c_str());
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const std::vector<std::vector<std::string>> cases = {{"policy", "check", fifo},
                                                       {"policy", "explain", fifo},
                                                       {"run", "--policy", fifo, "true"},
                                                       {"run", "--env-file", fifo, "true"},
                                                       {"batch", fifo},
                                                       {"batch", "--resume", "--results", fifo, "/dev/null"},
                                                       {"status", fifo}};
  for (const std::vector<std::string>& args : cases) {
    const Finished refused = RunBrood(args);
    EXPECT_NE(refused.exit_code, 0) << args[0];
    EXPECT_TRUE(Contains(refused.err, "open " + fifo + ": is a FIFO; expected a regular file")) << args[0] << refused.err;
  }
  EXPECT_TRUE(Contains(RunBrood({"policy", "check", "/dev/zero"}).err, "open /dev/zero: is a device"));
  EXPECT_EQ(RunBrood({"policy", "check", "/dev/fd/0"}, R"({"extends": "strict"})").out, "/dev/fd/0: ok\n");
}

TEST(RunTest, APolicyOfAStrangersDrivesNoTerminalAndForgesNoLine) {
  const std::string shown = RunBrood({"policy", "explain", TempFile("explained", R"({"extends": "strict", "name": "a\u001b[2Kb\nfiles: none",
      "files": [{"path": "/c\u001b[A\nnetwork: none", "optional": true}, {"symlink": "f\nlimits: none", "at": "/g"},
                {"overlay": "/usr", "below": ["/h\nlimits: none"], "at": "/i"}]})")}).out;
  EXPECT_TRUE(Contains(shown, "a\\x1b[2Kb\\x0afiles: none\nfiles: nothing of this machine but\n")) << shown;
  EXPECT_TRUE(Contains(shown, "/c\\x1b[A\\x0anetwork: none")) << shown;
  EXPECT_FALSE(Contains(shown, "\nlimits: none")) << shown;
  const std::string told = RunBrood({"policy", "check", TempFile("checked", R"({"extends": "strict", "files": [{"path": "/d\u001b[A\nok"}]})")}).err;
  EXPECT_TRUE(Contains(told, "/d\\x1b[A\\x0aok: ENOENT")) << told;
  EXPECT_TRUE(Contains(RunBrood({"run", "/e\x1b[A"}).err, "/e\\x1b[A: ENOENT")) << "else a program's name does";
}

// It waits for a reader, as a shell's > does.
TEST(RunTest, WhoWaitsForTheReaderOfAResultIsEndedByASignal) {
  const std::string fifo = TempFile("result", "");
  unlink(fifo.c_str());
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  StartedBrood run({"run", "--result", fifo, "true"});
  run.AwaitSleep();
  run.Signal(SIGTERM);
  EXPECT_EQ(run.Wait().exit_code, -SIGTERM);
}

TEST(RunTest, BadUsageIs125AndRunsNothing) {
  const std::string trace = TempFile("trace", "");
  unlink(trace.c_str());
  const std::vector<std::vector<std::string>> cases = {
      {"run"},
      {"run", "--memory", "lots", "touch", trace},
      {"run", "--polcy", "x", "touch", trace},
      {"run", "--policy", "strikt", "touch", trace},
      {"run", "--net", "allow:10.0.0.1", "touch", trace},
      {"run", "--allow-weaker", "nothing", "touch", trace},
      {"run", "--policy", "none", "--ro", "/usr", "touch", trace},
      {"run", "--policy", "none", "--result", "/nowhere/result", "touch", trace},
  };
  for (const std::vector<std::string>& args : cases) {
    const Finished run = RunBrood(args);
    EXPECT_EQ(run.exit_code, 125) << args.back();
    EXPECT_TRUE(Contains(run.err, "brood run: ")) << run.err;
  }
  EXPECT_NE(access(trace.c_str(), F_OK), 0);
}

TEST(RunTest, APolicyWithAnUnknownSystemCallNamesFileLineAndField) {
  const std::string policy =
      TempFile("p.json", "{\"extends\": \"strict\",\n \"syscalls\": [{\"names\": [\"foo\"], \"action\": \"allow\"}]}");
  const Finished run = RunBrood({"run", "--policy", policy, "true"});
  EXPECT_EQ(run.exit_code, 125);
  EXPECT_EQ(run.err, "brood run: " + policy + ":2: field \"syscalls[0]\": unknown system call foo\n");
}

TEST(RunTest, ASignalIsForwarded) {
  const std::string helper = Helper("exits_3_on_term");
  StartedBrood brood({"run", "--ro", helper, helper});
  ASSERT_EQ(brood.ReadLine(), "ready\n");
  brood.Signal(SIGTERM);
  EXPECT_EQ(brood.Wait().exit_code, 3);
}

TEST(RunTest, ASecondSignalKillsTheTree) {
  const std::string helper = Helper("ignores_all_signals");
  StartedBrood brood({"run", "--ro", helper, helper});
  ASSERT_EQ(brood.ReadLine(), "ignoring\n");
  // Two different ones: a second of the same kind may become one with the first. signal(7), "Queueing".
  brood.Signal(SIGTERM);
  brood.Signal(SIGINT);
  EXPECT_EQ(brood.Wait().exit_code, 128 + SIGKILL);
}

TEST(RunTest, TheEnvironmentIsWhatWasAskedFor) {
  const std::string file = TempFile("env", "# comment\nA=file\nB=file\n");
  setenv("PASSED", "through", 1);
  setenv("SECRET", "kept", 1);
  const Finished run = RunBrood({"run", "--env-file", file, "--env", "B=option", "--env", "PASSED", "--", "env"});
  EXPECT_TRUE(Contains(run.out, "A=file\n"));
  EXPECT_TRUE(Contains(run.out, "B=option\n")) << run.out;
  EXPECT_TRUE(Contains(run.out, "PASSED=through\n"));
  EXPECT_FALSE(Contains(run.out, "SECRET"));
  EXPECT_EQ(RunBrood({"run", "--clear-env", "--env", "A=b", "--", "/usr/bin/env"}).out, "A=b\n");
}

TEST(RunTest, TheResultFollowsTheProgramsOutputOnStdout) {
  const Finished run = RunBrood({"run", "--result", "-", "echo", "hi"});
  EXPECT_EQ(run.out.substr(0, 9), "hi\n{\"v\":1") << run.out;
}

TEST(RunTest, ANetworkModeBringsItsSocketRules) {
  const std::string script = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print('bound')";
  for (const char* policy : {"strict", "default"}) {
    for (const char* mode : {"loopback", "host"}) {
      const Finished run = RunBrood({"run", "--policy", policy, "--net", mode, "--", "python3", "-c", script});
      EXPECT_EQ(run.out, "bound\n") << policy << " " << mode << ": " << run.err;
    }
  }
  EXPECT_EQ(RunBrood({"run", "--policy", "strict", "--", "python3", "-c", script}).exit_code, 159);
}

TEST(RunTest, FilesAreSeenOnlyIfListed) {
  const std::string file = TempFile("seen", "content");
  EXPECT_EQ(RunBrood({"run", "--", "cat", file}).exit_code, 1);
  EXPECT_EQ(RunBrood({"run", "--ro", file, "--", "cat", file}).out, "content");
  EXPECT_EQ(RunBrood({"run", "--ro", file + ":/elsewhere", "--", "cat", "/elsewhere"}).out, "content");
}

TEST(CliRunTest, MoreProcessesThanAMachineCanHaveAreNoError) {
  for (const char* many : {"4194304", "18446744073709551615"}) {
    const Finished run = RunBrood({"run", "--processes", many, "--allow-weaker", "processes", "--", "true"});
    EXPECT_EQ(run.exit_code, 0) << run.err;
  }
}

TEST(CliPolicyTest, WhatThisMachineLacksHasALineToo) {
  const std::string file = TempFile("lacks.json", "{\"extends\": \"strict\",\n\"files\": [\n{\"path\": \"/usr\"},\n{\"path\": \"/lacks/it\"},\n"
                                                  "{\"path\": \"/opt/../etc\"}]}");
  const Finished checked = RunBrood({"policy", "check", file});
  EXPECT_EQ(checked.exit_code, 1);
  EXPECT_TRUE(checked.err.find(file + ":4: field \"files[1]\": path /lacks/it: ENOENT") != std::string::npos) << checked.err;
}

}  // namespace
}  // namespace brood
