// Programs as processes on Windows. The programs are this one again, with a first argument that names what it does.
#include <windows.h>
// After windows.h, whose types it needs.
#include <shellapi.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/own_process.h"
#include "base/windows_handle.h"
#include "base/windows_text.h"
#include "gtest/gtest.h"
#include "launcher/command_line_windows.h"
#include "launcher/launcher.h"
#include "serialization/framing.h"

namespace brood {
namespace {

std::string OwnPath() {
  wchar_t path[1024];
  return ToUtf8(std::wstring_view(path, GetModuleFileNameW(nullptr, path, 1024)));
}

std::vector<std::string> OwnArguments() {
  int count = 0;
  wchar_t** const argv = CommandLineToArgvW(GetCommandLineW(), &count);
  std::vector<std::string> result;
  for (int i = 0; i < count; ++i) result.push_back(ToUtf8(argv[i]));
  return result;
}

HANDLE HandleFrom(const std::string& text) {
  int value = -1;
  return absl::SimpleAtoi(text, &value) ? HandleOf(value) : nullptr;
}

// Bare, all inheritable handles included.
PROCESS_INFORMATION StartBare(const std::vector<std::string>& argv) {
  std::wstring line = internal::CommandLine(argv).value();
  STARTUPINFOW startup = {};
  startup.cb = sizeof(startup);
  PROCESS_INFORMATION born = {};
  EXPECT_TRUE(CreateProcessW(nullptr, line.data(), nullptr, nullptr, TRUE, 0, nullptr, nullptr, &startup, &born));
  CloseHandle(born.hThread);
  return born;
}

// --- What the programs do.

int PrintArguments(const std::vector<std::string>& arguments) {
  std::fputs(absl::StrJoin(arguments.begin() + 2, arguments.end(), "\n").c_str(), stdout);
  return 0;
}

int PrintEnvironment(const std::vector<std::string>& /*arguments*/) {
  for (const wchar_t* entry = GetEnvironmentStringsW(); *entry != L'\0'; entry += wcslen(entry) + 1) {
    // Wine adds some of its own.
    if (*entry != L'=' && wcsncmp(entry, L"WINE", 4) != 0) std::printf("%s\n", ToUtf8(entry).c_str());
  }
  return 0;
}

int PrintDirectory(const std::vector<std::string>& /*arguments*/) {
  wchar_t path[1024];
  std::fputs(ToUtf8(std::wstring_view(path, GetCurrentDirectoryW(1024, path))).c_str(), stdout);
  return 0;
}

int WriteBoth(const std::vector<std::string>& /*arguments*/) {
  std::fputs("out", stdout);
  std::fputs("error", stderr);
  return 3;
}

int CopyInput(const std::vector<std::string>& /*arguments*/) {
  for (int c = std::getchar(); c != EOF; c = std::getchar()) std::putchar(c);
  return 0;
}

// 0 if the handle is an event here.
int SetsEvent(const std::vector<std::string>& arguments) { return SetEvent(HandleFrom(arguments[2])) ? 0 : 1; }

int Sleeps(const std::vector<std::string>& arguments) {
  if (arguments.size() > 2) SetEvent(HandleFrom(arguments[2]));
  SleepForEver();
}

// Leaves a grandchild that holds every handle that this has, and ends once that runs.
int LeavesGrandchild(const std::vector<std::string>& arguments) {
  StartBare({OwnPath(), "--sleep", arguments[2]});
  return WaitForSingleObject(HandleFrom(arguments[2]), 20'000) == WAIT_OBJECT_0 ? 0 : 1;
}

// Owns a child of brood's with a grandchild; handles: the event by which the grandchild speaks, and the pipe that both hold.
int Owns(const std::vector<std::string>& arguments) {
  const int event = FdOf(HandleFrom(arguments[2]));
  const int pipe = FdOf(HandleFrom(arguments[3]));
  const absl::StatusOr<Process> child =
      Process::Start({.argv = {OwnPath(), "--start-and-sleep", arguments[2]}, .inherited = {{event, event}, {pipe, pipe}}});
  if (!child.ok()) return 1;
  SleepForEver();
}

int StartsAndSleeps(const std::vector<std::string>& arguments) {
  StartBare({OwnPath(), "--sleep", arguments[2]});
  SleepForEver();
}

// --- What is claimed.

struct Pipe {
  Pipe() {
    HANDLE ends[2] = {};
    EXPECT_TRUE(CreatePipe(&ends[0], &ends[1], nullptr, 0));
    reader = Own(ends[0]);
    writer = Own(ends[1]);
    SetHandleInformation(ends[1], HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
  }
  // Whether the last process that holds the other end lets go of it in time.
  bool Ends() {
    writer.reset();
    const ReadOptions options = {.deadline = absl::Now() + absl::Seconds(20)};
    return absl::IsOutOfRange(ReadMessage(reader.get(), MessageType::kResult, options).status());
  }
  UniqueFd reader;
  UniqueFd writer;
};

UniqueFd InheritableEvent() {
  SECURITY_ATTRIBUTES inherited = {.nLength = sizeof(inherited), .lpSecurityDescriptor = nullptr, .bInheritHandle = TRUE};
  return Own(CreateEventW(&inherited, TRUE, FALSE, nullptr));
}

std::string TextOf(const UniqueFd& file) {
  std::string text;
  char buffer[4096];
  DWORD count = 0;
  while (ReadFile(HandleOf(file.get()), buffer, sizeof(buffer), &count, nullptr) && count > 0) text.append(buffer, count);
  return text;
}

std::string OutputOf(LaunchOptions options) {
  options.stdout_spec = Stdio::Capture();
  absl::StatusOr<Process> process = Process::Start(options);
  EXPECT_TRUE(process.ok()) << process.status();
  if (!process.ok()) return "";
  EXPECT_EQ(process->Join().value().ToString(), "exited with code 0");
  return TextOf(process->TakeStdout());
}

TEST(ProcessTest, ArgumentsArriveAsTheyWere) {
  const std::vector<std::string> arguments = {"a b", "", "\"quoted\"", "back\\", "sp ace\\", "\xc3\xa4\xf0\x9f\x90\xa3", "%PATH%", "&|"};
  LaunchOptions options = {.argv = {OwnPath(), "--print-arguments"}};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  std::string expected = absl::StrJoin(arguments, "\r\n");
  EXPECT_EQ(OutputOf(options), expected);
}

TEST(ProcessTest, TheEnvironmentIsSortedAndItsNamesKnowNoCase) {
  SetEnvironmentVariableW(L"BROODPASSED", L"on");
  const std::string text = OutputOf({.argv = {OwnPath(), "--print-environment"},
                      .env = {"zeta=1", "Alpha=2", "beta=\xc3\xa4", "ALPHA=3", "_x=", "broodPassed", "BroodLacks"},
                      .environment_base = EnvironmentBase::kEmpty});
  // Behind it stands what Wine adds.
  EXPECT_EQ(text.find("ALPHA=3\r\nbeta=\xc3\xa4\r\nbroodPassed=on\r\nzeta=1\r\n_x=\r\n"), 0u) << text;
}

TEST(ProcessTest, TheEnvironmentOfTheCallerIsInheritedAndChanged) {
  SetEnvironmentVariableW(L"BroodInherited", L"yes");
  const std::string text = OutputOf({.argv = {OwnPath(), "--print-environment"}, .env = {"brood_added=1"}});
  EXPECT_TRUE(absl::StrContains(text, "BroodInherited=yes\r\n")) << text;
  EXPECT_TRUE(absl::StrContains(text, "brood_added=1\r\n")) << text;
}

TEST(ProcessTest, TheDirectoryIsTheOneThatWasAskedFor) {
  EXPECT_EQ(OutputOf({.argv = {OwnPath(), "--print-directory"}, .cwd = "C:\\windows"}), "C:\\windows");
  const absl::Status status = Process::Start({.argv = {OwnPath()}, .cwd = "C:\\no such folder"}).status();
  EXPECT_TRUE(absl::StrContains(status.message(), "C:\\no such folder")) << status;
}

TEST(ProcessTest, StreamsGoWhereTheyShould) {
  Process process = Process::Start({.argv = {OwnPath(), "--write-both"}, .stdout_spec = Stdio::Capture(), .stderr_spec = Stdio::Capture(4)}).value();
  const Outcome outcome = process.Join().value();
  EXPECT_EQ(outcome.exit_code(), 3);
  EXPECT_EQ(TextOf(process.TakeStdout()), "out");
  EXPECT_EQ(TextOf(process.TakeStderr()), "erro");
  EXPECT_EQ(outcome.stderr_result.bytes, 5u);
  EXPECT_TRUE(outcome.stderr_result.truncated);
  EXPECT_FALSE(outcome.stdout_result.truncated);
  Process merged = Process::Start({.argv = {OwnPath(), "--write-both"}, .stdout_spec = Stdio::Capture(), .stderr_spec = Stdio::Merge()}).value();
  EXPECT_EQ(merged.Join().value().stdout_result.bytes, 8u);
  EXPECT_EQ(OutputOf({.argv = {OwnPath(), "--copy-input"}, .stdin_spec = Stdio::Null()}), "");
}

// The control shows that the handle would go down without brood's list.
TEST(ProcessTest, ExactlyTheNamedHandlesAreInherited) {
  const UniqueFd named = InheritableEvent();
  const UniqueFd unnamed = InheritableEvent();
  const auto child = [&](const UniqueFd& event, std::vector<InheritedFd> inherited) {
    return Process::Start({.argv = {OwnPath(), "--set-event", absl::StrCat(event.get())}, .inherited = std::move(inherited)})
        .value().Join().value().exit_code();
  };
  EXPECT_EQ(child(named, {{named.get(), named.get()}}), 0);
  EXPECT_EQ(WaitForSingleObject(HandleOf(named.get()), 0), WAIT_OBJECT_0);
  EXPECT_EQ(child(unnamed, {{named.get(), -1}}), 1);
  EXPECT_EQ(WaitForSingleObject(HandleOf(unnamed.get()), 0), static_cast<DWORD>(WAIT_TIMEOUT));
  const PROCESS_INFORMATION control = StartBare({OwnPath(), "--set-event", absl::StrCat(unnamed.get())});
  const UniqueFd process = Own(control.hProcess);
  EXPECT_EQ(WaitForSingleObject(control.hProcess, 20'000), WAIT_OBJECT_0);
  EXPECT_EQ(WaitForSingleObject(HandleOf(unnamed.get()), 0), WAIT_OBJECT_0);
}

TEST(ProcessTest, HandlesThatCannotGoDownAreErrorsOfTheRequest) {
  const UniqueFd event = Own(CreateEventW(nullptr, TRUE, FALSE, nullptr));
  const auto start = [](InheritedFd inherited) { return Process::Start({.argv = {OwnPath()}, .inherited = {inherited}}).status(); };
  const absl::Status kept = start({event.get(), event.get()});
  EXPECT_EQ(kept.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(kept.message(), "is not inheritable")) << kept;
  const UniqueFd other = InheritableEvent();
  EXPECT_EQ(start({other.get(), 5}).code(), absl::StatusCode::kInvalidArgument);
  const absl::Status closed = start({123456, 123456});
  EXPECT_TRUE(absl::StrContains(closed.message(), "ERROR_INVALID_HANDLE, 6")) << closed;
}

TEST(ProcessTest, WhatCannotBeExecutedSaysWhy) {
  const absl::Status missing = Process::Start({.argv = {"C:\\no\\such.exe"}}).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(missing.message(), "exec C:\\no\\such.exe: ERROR_FILE_NOT_FOUND, 2 (")) << missing;
  EXPECT_EQ(Process::Start({.argv = {"nosuch"}}).status().code(), absl::StatusCode::kNotFound);
  // Found with ".exe" added, by the child's PATH.
  EXPECT_EQ(Process::Start({.argv = {"cmd", "/c", "exit 5"}}).value().Join().value().exit_code(), 5);
  // A file, and no program.
  const absl::Status text = Process::Start({.argv = {"C:\\windows\\win.ini"}}).status();
  EXPECT_EQ(text.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(text.message(), "ERROR_BAD_EXE_FORMAT, 193 (")) << text;
  const absl::Status batch = Process::Start({.argv = {"C:\\windows\\x.bat"}}).status();
  EXPECT_FALSE(batch.ok());
  Process launched = Process::Launch({.argv = {"C:\\no\\such.exe"}}).value();
  const Outcome outcome = launched.Join().value();
  EXPECT_EQ(outcome.StatusWord(), "setup_failed");
  EXPECT_EQ(outcome.ShellExitCode(), 127);
}

TEST(ProcessTest, TheWallTimeLimitEndsTheTree) {
  Policy policy = BuiltinPolicy("none").value();
  policy.limits.wall_time = absl::Milliseconds(300);
  const absl::Time begin = absl::Now();
  Process process = Process::Start({.argv = {OwnPath(), "--sleep"}, .policy = CompilePolicy(policy).value()}).value();
  const Outcome outcome = process.Join().value();
  EXPECT_EQ(outcome.StatusWord(), "timeout");
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(290));
  EXPECT_EQ(outcome.enforced.at(Layer::kWallTime), "timer that ends the job");
}

TEST(ProcessTest, LayersThatWindowsLacksAreNamedUnlessTheirAbsenceIsAccepted) {
  Policy policy = BuiltinPolicy("strict").value();
  const absl::Status status = CompilePolicy(policy).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  for (const char* layer : {"user", "pid", "mount", "net", "capabilities", "no_new_privs", "seccomp"}) {
    EXPECT_TRUE(absl::StrContains(status.message(), layer)) << layer << ": " << status;
  }
  policy = BuiltinPolicy("none").value();
  policy.limits.memory_bytes = 1 << 20;
  EXPECT_TRUE(absl::StrContains(CompilePolicy(policy).status().message(), "memory"));
  policy.allow_weaker = {Layer::kMemory};
  const auto plan = CompilePolicy(policy).value();
  EXPECT_EQ(plan->enforced().count(Layer::kMemory), 0u);
}

TEST(ProcessTest, WhatAChildLeavesRunningIsGoneWhenItsOutcomeIsThere) {
  const UniqueFd event = InheritableEvent();
  Pipe pipe;
  Process process = Process::Start({.argv = {OwnPath(), "--leave-grandchild", absl::StrCat(event.get())},
                                    .inherited = {{event.get(), event.get()}, {pipe.writer.get(), pipe.writer.get()}}}).value();
  const Outcome outcome = process.Join().value();
  EXPECT_EQ(outcome.exit_code(), 0);  // The grandchild ran.
  EXPECT_EQ(outcome.enforced.at(Layer::kTree), "job object, kill on close");
  EXPECT_TRUE(pipe.Ends());
}

TEST(ProcessTest, KillingAChildKillsItsGrandchildToo) {
  const UniqueFd event = InheritableEvent();
  Pipe pipe;
  Process process = Process::Start({.argv = {OwnPath(), "--start-and-sleep", absl::StrCat(event.get())},
                                    .inherited = {{event.get(), event.get()}, {pipe.writer.get(), pipe.writer.get()}}}).value();
  ASSERT_EQ(WaitForSingleObject(HandleOf(event.get()), 20'000), WAIT_OBJECT_0);
  ASSERT_EQ(process.Kill(), absl::OkStatus());
  EXPECT_TRUE(pipe.Ends());
  EXPECT_EQ(process.Join().value().exit_code(), -9);
}

// The owner is killed, not ended: nothing of its own code runs.
TEST(ProcessTest, AKilledOwnerTakesTheTreeWithIt) {
  const UniqueFd event = InheritableEvent();
  Pipe pipe;
  const PROCESS_INFORMATION born = StartBare({OwnPath(), "--own", absl::StrCat(event.get()), absl::StrCat(pipe.writer.get())});
  const UniqueFd owner = Own(born.hProcess);
  ASSERT_EQ(WaitForSingleObject(HandleOf(event.get()), 20'000), WAIT_OBJECT_0);  // The grandchild runs.
  ASSERT_TRUE(TerminateProcess(born.hProcess, 1));
  EXPECT_TRUE(pipe.Ends());
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) {
  using namespace brood;
  const struct {
    const char* flag;
    int (*run)(const std::vector<std::string>& arguments);
  } programs[] = {{"--print-arguments", PrintArguments}, {"--print-environment", PrintEnvironment},
                  {"--print-directory", PrintDirectory}, {"--write-both", WriteBoth},
                  {"--copy-input", CopyInput},           {"--set-event", SetsEvent},
                  {"--sleep", Sleeps},                   {"--leave-grandchild", LeavesGrandchild},
                  {"--start-and-sleep", StartsAndSleeps}, {"--own", Owns}};
  for (const auto& program : programs) {
    if (argc > 1 && std::string_view(argv[1]) == program.flag) return program.run(OwnArguments());
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
