// `brood run` and what asks for no child, end to end on Windows. Programs are this one again, with a first argument.
#include <windows.h>

#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/windows_text.h"
#include "cli/testdata/windows_brood.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

using absl::StrContains;

// --- What the programs do.

int PrintRest(const std::vector<std::string>& arguments) {
  std::fputs(absl::StrJoin(arguments.begin() + 2, arguments.end(), "|").c_str(), stdout);
  return 0;
}

int PrintVariable(const std::vector<std::string>& arguments) {
  wchar_t value[256];
  const DWORD size = GetEnvironmentVariableW(ToWide(arguments[2], "name")->c_str(), value, 256);
  std::fputs(size == 0 ? "unset" : ToUtf8(std::wstring_view(value, size)).c_str(), stdout);
  return 0;
}

int PrintDirectory(const std::vector<std::string>& /*arguments*/) {
  wchar_t path[1024];
  std::fputs(ToUtf8(std::wstring_view(path, GetCurrentDirectoryW(1024, path))).c_str(), stdout);
  return 0;
}

int CopyInput(const std::vector<std::string>& /*arguments*/) {
  for (int c = std::getchar(); c != EOF; c = std::getchar()) std::putchar(c);
  return 0;
}

int Crash(const std::vector<std::string>& /*arguments*/) {
  RaiseException(EXCEPTION_ACCESS_VIOLATION, 0, 0, nullptr);
  return 0;
}

int SleepLong(const std::vector<std::string>& /*arguments*/) {
  Sleep(INFINITE);
  return 0;
}

// --- What is claimed.

TEST(RunTest, ExitsWithTheProgramsOwnCodeAndSaysNothing) {
  for (const int64_t code : {int64_t{0}, int64_t{1}, int64_t{7}, int64_t{255}, int64_t{259}, int64_t{65536}, int64_t{4000000000}}) {
    const Finished run = RunBrood({"run", "--", "cmd", "/c", absl::StrCat("exit ", static_cast<int32_t>(static_cast<uint32_t>(code)))});
    EXPECT_EQ(run.exit_code, code);
    EXPECT_EQ(run.err, "");
  }
}

TEST(RunTest, ACrashKeepsItsCodeAndTheResultSaysIt) {
  const std::string result = TempPath("crash.json");
  EXPECT_EQ(RunBrood({"run", "--result", result, "--", OwnPath(), "--crash"}).exit_code, int64_t{0xC0000005});
  EXPECT_TRUE(StrContains(FileContent(result), R"("status":"failed","exit_code":3221225477,"signal":null)")) << FileContent(result);
  EXPECT_TRUE(StrContains(FileContent(result), R"("enforced":{"tree":"job object, kill on close"})")) << FileContent(result);
}

TEST(RunTest, TheResultCanGoToStandardOutput) {
  const Finished run = RunBrood({"run", "--result", "-", "--", OwnPath(), "--print", "said"});
  EXPECT_TRUE(absl::StartsWith(run.out, "said{\"v\":1,")) << run.out;
  EXPECT_TRUE(absl::EndsWith(run.out, "}\n")) << run.out;
}

TEST(RunTest, MissingAndNotExecutableProgramsAre127And126WithALine) {
  const Finished missing = RunBrood({"run", "no-such-program"});
  EXPECT_EQ(missing.exit_code, 127);
  EXPECT_TRUE(StrContains(missing.err, "ERROR_FILE_NOT_FOUND, 2 (")) << missing.err;
  const std::string text = TempFile("text.exe", "not a program");
  const Finished plain = RunBrood({"run", "--", text});
  EXPECT_EQ(plain.exit_code, 126);
  EXPECT_TRUE(StrContains(plain.err, absl::StrCat(text, ": ERROR_BAD_EXE_FORMAT, 193 ("))) << plain.err;
  const Finished folder = RunBrood({"run", "--", "C:\\windows\\"});
  EXPECT_NE(folder.exit_code, 0);
  EXPECT_NE(folder.err, "");
}

TEST(RunTest, BatchFilesAndQuotingInjectionsAreRefused) {
  const std::string batch = TempFile("x.bat", "exit 0\r\n");
  const Finished run = RunBrood({"run", "--", batch, "a\" & echo injected"});
  EXPECT_EQ(run.exit_code, 125);
  EXPECT_TRUE(StrContains(run.err, "x.bat")) << run.err;
  EXPECT_EQ(RunBrood({"run", "--", "no\"quote.exe"}).exit_code, 125);
}

TEST(RunTest, ArgumentsArriveAsTheyWere) {
  const Finished run = RunBrood({"run", "--", OwnPath(), "--print", "a b", "", "\"q\"", "back\\", "\xc3\xa4\xf0\x9f\x90\xa3", "%PATH%"});
  EXPECT_EQ(run.out, "a b||\"q\"|back\\|\xc3\xa4\xf0\x9f\x90\xa3|%PATH%");
}

TEST(RunTest, InputEnvironmentAndDirectoryAreTheChilds) {
  EXPECT_EQ(RunBrood({"run", "--", OwnPath(), "--copy-input"}, "line\n").out, "line\r\n");  // Its C library adds the \r.
  EXPECT_EQ(RunBrood({"run", "--env", "BroodTest=\xc3\xa4", "--", OwnPath(), "--print-variable", "broodtest"}).out, "\xc3\xa4");
  EXPECT_EQ(RunBrood({"run", "--clear-env", "--", OwnPath(), "--print-variable", "PATHEXT"}).out, "unset");
  EXPECT_EQ(RunBrood({"run", "--cwd", "C:\\windows", "--", OwnPath(), "--print-directory"}).out, "C:\\windows");
  const Finished nowhere = RunBrood({"run", "--cwd", "C:\\no such", "--", OwnPath(), "--print-directory"});
  EXPECT_EQ(nowhere.exit_code, 125);
  EXPECT_TRUE(StrContains(nowhere.err, "cwd C:\\no such: ERROR_DIRECTORY, 267 (")) << nowhere.err;
  const std::string file = TempFile("variables", "# a comment\nBroodFile=yes\n");
  EXPECT_EQ(RunBrood({"run", "--env-file", file, "--", OwnPath(), "--print-variable", "BroodFile"}).out, "yes");
}

TEST(RunTest, TheWallTimeLimitIs124WithALine) {
  const Finished run = RunBrood({"run", "--wall-time", "200ms", "--", OwnPath(), "--sleep"});
  EXPECT_EQ(run.exit_code, 124);
  EXPECT_TRUE(StrContains(run.err, "wall time limit")) << run.err;
}

TEST(RunTest, LayersThatWindowsLacksAreNamedUnlessTheirAbsenceIsAccepted) {
  for (const char* const name : {"strict", "default", "networked"}) {
    const Finished run = RunBrood({"run", "--policy", name, "--", "cmd", "/c", "echo ran"});
    EXPECT_EQ(run.exit_code, 125) << name;
    EXPECT_EQ(run.out, "");
    EXPECT_TRUE(StrContains(run.err, "mount")) << run.err;
    EXPECT_TRUE(StrContains(run.err, "--allow-weaker ")) << run.err;
  }
  const std::string result = TempPath("weaker.json");
  const Finished weaker = RunBrood({"run", "--policy", "default", "--result", result, "--allow-weaker",
                                    "user,pid,mount,net,ipc,uts,cgroup,capabilities,no_new_privs,seccomp", "--", "cmd", "/c", "exit 3"});
  EXPECT_EQ(weaker.exit_code, 3) << weaker.err;
  EXPECT_FALSE(StrContains(FileContent(result), "\"mount\":")) << FileContent(result);
}

// On Wine 8, which takes limits and does not keep them, this is the failure that names them; a real Windows runs the program.
TEST(RunTest, ALimitIsEnforcedOrTheRunFailsAndNamesIt) {
  const std::string result = TempPath("limited.json");
  const Finished run = RunBrood({"run", "--memory", "256M", "--result", result, "--", "cmd", "/c", "exit 3"});
  if (run.exit_code == 3) {
    EXPECT_TRUE(StrContains(FileContent(result), R"("memory":"job object, committed memory")")) << FileContent(result);
  } else {
    EXPECT_EQ(run.exit_code, 125);
    EXPECT_TRUE(StrContains(run.err, "this system does not enforce memory (job object: memory in bytes was set to 268435456")) << run.err;
    EXPECT_TRUE(StrContains(run.err, "; accept the sandbox without them, with --allow-weaker memory")) << run.err;
  }
  EXPECT_EQ(RunBrood({"run", "--memory", "256M", "--allow-weaker", "memory", "--", "cmd", "/c", "exit 3"}).exit_code, 3);
}

TEST(RunTest, BadUsageIs125AndRunsNothing) {
  const std::vector<std::vector<std::string>> cases = {
      {"run"},
      {"run", "--memory", "lots", "cmd", "/c", "echo ran"},
      {"run", "--polcy", "x", "cmd", "/c", "echo ran"},
      {"run", "--policy", "strikt", "cmd", "/c", "echo ran"},
      {"run", "--ro", "C:\\windows", "cmd", "/c", "echo ran"},
      {"run", "--server", "somewhere", "cmd", "/c", "echo ran"},
      {"run", "--result", "C:\\no\\such\\folder\\file", "cmd", "/c", "echo ran"},
  };
  for (const std::vector<std::string>& args : cases) {
    const Finished run = RunBrood(args);
    EXPECT_EQ(run.exit_code, 125) << absl::StrJoin(args, " ");
    EXPECT_EQ(run.out, "") << absl::StrJoin(args, " ");
    EXPECT_TRUE(absl::StartsWith(run.err, "brood run: ")) << run.err;
  }
}

TEST(CallTest, ATargetOfADllPrintsItsValue) {
  const Finished call = RunBrood({"call", PluginPath("values") + ":byte", "7"});
  EXPECT_EQ(call.exit_code, 0) << call.err;
  EXPECT_EQ(call.out, "7\n");
  EXPECT_EQ(RunBrood({"call", PluginPath("ends") + ":Exits", "9"}).exit_code, 9);
  const Finished list = RunBrood({"call", "--list", PluginPath("values")});
  EXPECT_EQ(list.exit_code, 0) << list.err;
  EXPECT_TRUE(StrContains(list.out, "byte")) << list.out;
}

TEST(CallTest, APluginThatIsNoneIs125WithTheSystemsCode) {
  const Finished missing = RunBrood({"call", "C:\\no\\such.dll:f"});
  EXPECT_EQ(missing.exit_code, 125);
  EXPECT_TRUE(StrContains(missing.err, "ERROR_PATH_NOT_FOUND, 3 (")) << missing.err;
  const Finished name = RunBrood({"call", PluginPath("values") + ":bite", "7"});
  EXPECT_EQ(name.exit_code, 125);
  EXPECT_TRUE(StrContains(name.err, "target \"bite\": not in plugin ")) << name.err;
  const Finished which = RunBrood({"call", PluginPath("values")});
  EXPECT_EQ(which.exit_code, 125);
  EXPECT_TRUE(StrContains(which.err, "which target of it?")) << which.err;
}

TEST(ProgramTest, VersionAndHelpAndUnknownCommands) {
  EXPECT_TRUE(absl::StartsWith(RunBrood({"--version"}).out, "brood "));
  EXPECT_TRUE(StrContains(RunBrood({"run", "--help"}).out, "none, or a file [none]"));
  const std::string call = RunBrood({"call", "--help"}).out;
  EXPECT_TRUE(StrContains(call, "PATH.dll:NAME") && !StrContains(call, ".so")) << call;
  EXPECT_TRUE(StrContains(RunBrood({"help", "windows"}).out, "For Linux only: brood serve, listen, probe, demo")) << call;
  EXPECT_EQ(RunBrood({"rnu"}).exit_code, 2);
  const Finished serve = RunBrood({"serve", "--socket", "x"});
  EXPECT_EQ(serve.exit_code, 125);
  EXPECT_TRUE(StrContains(serve.err, "not on Windows")) << serve.err;
}

TEST(PolicyTest, ChecksAndExplains) {
  EXPECT_TRUE(StrContains(RunBrood({"policy", "explain", "strict"}).out, "system calls"));
  EXPECT_EQ(RunBrood({"policy", "check", "none"}).exit_code, 0);
  const Finished strict = RunBrood({"policy", "check", "strict"});
  EXPECT_EQ(strict.exit_code, 1);
  EXPECT_TRUE(StrContains(strict.err, "seccomp")) << strict.err;
  const std::string bad = TempFile("bad.json", "{\n \"extends\": \"none\",\n \"limits\": {\"memry\": 1}\n}\n");
  const Finished check = RunBrood({"policy", "check", bad});
  EXPECT_EQ(check.exit_code, 1);
  EXPECT_TRUE(StrContains(check.err, absl::StrCat(bad, ":3: field \"limits.memry\""))) << check.err;
  const std::string good = TempFile("good.json", "{\"extends\": \"none\", \"limits\": {\"wall_time\": \"5s\"}}");
  EXPECT_EQ(RunBrood({"policy", "check", good}).out, absl::StrCat(good, ": ok\n"));
}

TEST(DoctorTest, TellsOfEachLayer) {
  const Finished table = RunBrood({"doctor"});
  EXPECT_EQ(table.exit_code, 0) << table.err;
  EXPECT_TRUE(StrContains(table.out, "tree           yes     job object, kill on close")) << table.out;
  const Finished json = RunBrood({"doctor", "--json"});
  EXPECT_TRUE(StrContains(json.out, R"("default_policy_ok":true)")) << json.out;
  EXPECT_TRUE(StrContains(json.out, R"({"layer":"mount","here":"no")")) << json.out;
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) {
  using namespace brood;
  const struct {
    const char* flag;
    int (*run)(const std::vector<std::string>& arguments);
  } programs[] = {{"--print", PrintRest},          {"--print-variable", PrintVariable}, {"--print-directory", PrintDirectory},
                  {"--copy-input", CopyInput},     {"--crash", Crash},                  {"--sleep", SleepLong}};
  for (const auto& program : programs) {
    if (argc > 1 && std::string_view(argv[1]) == program.flag) return program.run(OwnArguments());
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
