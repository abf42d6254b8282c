// What cannot be done on Windows says so, with the code and the text that Windows has for it. Programs are this one again: what
// it does is named by its first argument, or for functions, which have none of their own, by its environment.
#include <windows.h>
// After windows.h, whose types it needs.
#include <aclapi.h>
#include <shellapi.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/own_process.h"
#include "base/windows_handle.h"
#include "base/windows_text.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "ipc/connection.h"
#include "ipc/pipe.h"
#include "launcher/context.h"
#include "launcher/launch_windows.h"
#include "launcher/process_state.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"

namespace brood {

void Nothing() {}
BROOD_TARGET(Nothing);

size_t Length(const std::string& text) { return text.size(); }
BROOD_TARGET(Length);

void ClosesAtOnce(Connection connection) { connection.Close(); }
BROOD_TARGET(ClosesAtOnce);

namespace {

using absl::StrContains;

std::string OwnPath() {
  wchar_t path[1024];
  return ToUtf8(std::wstring_view(path, GetModuleFileNameW(nullptr, path, 1024)));
}

std::wstring Wide(const std::string& text) { return ToWide(text, "name").value(); }

// A copy of this program, of its own for each test.
std::string CopyOfThis(const std::string& name) {
  const std::string path = absl::StrCat(testing::TempDir(), "\\", name, "-", GetCurrentProcessId(), ".exe");
  EXPECT_TRUE(CopyFileW(Wide(OwnPath()).c_str(), Wide(path).c_str(), TRUE)) << GetLastError();
  return path;
}

std::string TextOf(const UniqueFd& file) {
  std::string text;
  char buffer[4096];
  DWORD count = 0;
  while (ReadFile(HandleOf(file.get()), buffer, sizeof(buffer), &count, nullptr) && count > 0) text.append(buffer, count);
  return text;
}

// --- Programs that cannot be started.

TEST(BadProgramTest, AFolderIsNoProgram) {
  for (const char* const path : {"C:\\windows", "C:\\windows\\"}) {
    const absl::Status status = Process::Start({.argv = {path}}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
    EXPECT_TRUE(StrContains(status.message(), absl::StrCat("exec ", path, ": ERROR_ACCESS_DENIED, 5 ("))) << status;
  }
  EXPECT_EQ(Process::Launch({.argv = {"C:\\windows"}})->Join()->ShellExitCode(), 126);
}

TEST(BadProgramTest, OneThatSomebodyHasOpenedForHimselfAloneIsASharingViolation) {
  const std::string path = CopyOfThis("shared");
  UniqueFd alone = Own(CreateFileW(Wide(path).c_str(), GENERIC_READ | GENERIC_WRITE, 0, nullptr, OPEN_EXISTING, 0, nullptr));
  ASSERT_TRUE(alone.valid());
  const absl::Status status = Process::Start({.argv = {path, "--arguments"}, .stdout_spec = Stdio::Null()}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(StrContains(status.message(), absl::StrCat("exec ", path, ": ERROR_SHARING_VIOLATION, 32 ("))) << status;
  alone.reset();
  EXPECT_TRUE(Process::Start({.argv = {path, "--arguments"}, .stdout_spec = Stdio::Null()}).ok());
}

TEST(BadProgramTest, OneThatMayNotBeExecutedIsAccessDenied) {
  const std::string path = CopyOfThis("denied");
  EXPLICIT_ACCESSW deny = {.grfAccessPermissions = GENERIC_EXECUTE | FILE_EXECUTE, .grfAccessMode = DENY_ACCESS, .grfInheritance = NO_INHERITANCE, .Trustee = {}};
  wchar_t everyone[] = L"Everyone";
  BuildTrusteeWithNameW(&deny.Trustee, everyone);
  ACL* list = nullptr;
  ASSERT_EQ(SetEntriesInAclW(1, &deny, nullptr, &list), DWORD{ERROR_SUCCESS});
  std::wstring name = Wide(path);
  const DWORD set = SetNamedSecurityInfoW(name.data(), SE_FILE_OBJECT, DACL_SECURITY_INFORMATION, nullptr, nullptr, list, nullptr);
  LocalFree(list);
  const UniqueFd opened = Own(CreateFileW(name.c_str(), GENERIC_EXECUTE, FILE_SHARE_READ, nullptr, OPEN_EXISTING, 0, nullptr));
  if (opened.valid()) {
    GTEST_SKIP() << "this system lets a file be opened for execution whose access list denies that to everyone (it was set with code "
                 << set << ")";
  }
  const absl::Status status = Process::Start({.argv = {path, "--arguments"}, .stdout_spec = Stdio::Null()}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(StrContains(status.message(), absl::StrCat("exec ", path, ": ERROR_ACCESS_DENIED, 5 ("))) << status;
}

TEST(BadProgramTest, AFunctionsProgramThatIsNoneIsNamedAlike) {
  const auto start = [](const std::string& executable) {
    return Context(StartMethod::kSpawn, {.executable = executable}).StartByName({}, "Nothing", {}).status();
  };
  const absl::Status missing = start("C:\\no\\such.exe");
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(StrContains(missing.message(), "exec C:\\no\\such.exe: ERROR_PATH_NOT_FOUND, 3 (") ||
              StrContains(missing.message(), "exec C:\\no\\such.exe: ERROR_FILE_NOT_FOUND, 2 (")) << missing;
  const absl::Status text = start("C:\\windows\\win.ini");
  EXPECT_TRUE(StrContains(text.message(), "exec C:\\windows\\win.ini: ERROR_BAD_EXE_FORMAT, 193 (")) << text;
  EXPECT_TRUE(StrContains(start("C:\\windows").message(), "exec C:\\windows: ERROR_ACCESS_DENIED, 5 (")) << start("C:\\windows");
}

// On every system: a refusal may be about the token as well as about the program.
TEST(BadProgramTest, OneThatIsRefusedWithARestrictedTokenNamesThoseLayersToo) {
  const std::string program = absl::StrCat(testing::TempDir(), "text-", GetCurrentProcessId(), ".exe");
  std::ofstream(program) << "no program";
  Policy policy = BuiltinPolicy("none").value();
  policy.drop_privileges = true;
  policy.allow_weaker = {Layer::kCapabilities, Layer::kNoNewPrivs};
  const absl::Status status = Process::Start({.argv = {program}, .policy = CompilePolicy(policy).value()}).status();
  EXPECT_TRUE(StrContains(status.message(), absl::StrCat("exec ", program, ", with a restricted token (capabilities, no_new_privs): "
                                                         "ERROR_BAD_EXE_FORMAT, 193 ("))) << status;
}

// --- What would be more than it was given.

TEST(InjectionTest, NoArgumentBecomesTwoOrAnOption) {
  for (const std::string nasty : {"a\" \"--injected", "\\\" --injected \\\"", "\" & echo injected & \"", "a\\\\\" --injected", "\r\n--injected",
                                  "^\" --injected", "%COMSPEC% | more", "\"\"\" --injected \"\"\""}) {
    Process process = Process::Start({.argv = {OwnPath(), "--arguments", nasty, "end"}, .stdout_spec = Stdio::Capture()}).value();
    ASSERT_EQ(process.Join()->exit_code(), 2) << nasty;
    std::string text = TextOf(process.TakeStdout());
    EXPECT_EQ(text, absl::StrCat(nasty, "|end"));
  }
}

TEST(InjectionTest, WhatHasAZeroByteIsRefusedWhereverItStands) {
  const std::string zero("A=1\0INJECTED=2", 14);
  const auto refusal = [](const LaunchOptions& options) { return Process::Start(options).status(); };
  for (const absl::Status& status : {refusal({.argv = {OwnPath(), zero}}), refusal({.argv = {OwnPath()}, .env = {zero}}),
                                     refusal({.argv = {OwnPath()}, .cwd = zero}), refusal({.argv = {zero}})}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(StrContains(status.message(), "contains a zero byte")) << status;
  }
  EXPECT_EQ(refusal({.argv = {OwnPath()}, .env = {"=C:=C:\\"}}).code(), absl::StatusCode::kInvalidArgument);
}

// --- Handles.

TEST(BadHandleTest, StreamsThatAreNoneAreNamed) {
  const auto start = [](LaunchOptions options) {
    options.argv = {OwnPath(), "--arguments"};
    return Process::Start(options).status();
  };
  const absl::Status closed = start({.stdout_spec = Stdio::Fd(123456)});
  EXPECT_TRUE(StrContains(closed.message(), "stdout: DuplicateHandle: ERROR_INVALID_HANDLE, 6 (")) << closed;
  const absl::Status missing = start({.stdin_spec = Stdio::Path("C:\\no\\such")});
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(StrContains(missing.message(), "open C:\\no\\such: ERROR_PATH_NOT_FOUND, 3 (")) << missing;
  const absl::Status folder = start({.stderr_spec = Stdio::Path("C:\\windows")});
  EXPECT_EQ(folder.code(), absl::StatusCode::kPermissionDenied) << folder;
}

TEST(BadHandleTest, AChildThatIsGivenNoneSaysWhichItWasGiven) {
  Process process = Process::Start({.argv = {OwnPath(), "--brood-bootstrap", "123456:123460", "1"}, .stderr_spec = Stdio::Capture()}).value();
  EXPECT_NE(process.Join()->exit_code(), 0);
  const std::string said = TextOf(process.TakeStderr());
  EXPECT_TRUE(StrContains(said, "handles \"123456:123460\"") && StrContains(said, "ERROR_INVALID_HANDLE, 6 (")) << said;
}

// --- Pipes that are closed early.

TEST(ClosedPipeTest, AChildThatEndsBeforeItReadsItsMessageIsAFailedSetUp) {
  const Context context(StartMethod::kSpawn);
  const LaunchOptions dies = {.env = {"BROOD_TEST_ENDS_WITH=3"}};
  // Through a pipe, and through a file.
  for (const size_t size : {size_t{10}, size_t{3'000'000}}) {
    const absl::Status status = context.Start(dies, Length, std::string(size, 'x')).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(StrContains(status.message(), "bootstrap: the child ended with code 3 before its target was ready")) << status;
  }
  // One that ends well has not run the function either.
  const absl::Status well = context.Call({.env = {"BROOD_TEST_ENDS_WITH=0"}}, Nothing);
  EXPECT_TRUE(StrContains(well.message(), "ended with code 0 before its target was ready")) << well;
  const Outcome outcome = context.LaunchByName(dies, "Nothing", {})->Join().value();
  EXPECT_EQ(outcome.StatusWord(), "setup_failed");
  EXPECT_EQ(outcome.ShellExitCode(), 125);
}

TEST(ClosedPipeTest, AMessageThatIsCutOffIsTheChildsError) {
  HANDLE ends[2] = {};
  ASSERT_TRUE(CreatePipe(&ends[0], &ends[1], nullptr, 0));
  const UniqueFd reader = Own(ends[0]);
  UniqueFd writer = Own(ends[1]);
  ASSERT_TRUE(SetHandleInformation(ends[0], HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT));
  Process process = Process::Start({.argv = {OwnPath(), "--brood-bootstrap", absl::StrCat(reader.get(), ":-1"), "1"},
                                    .stderr_spec = Stdio::Capture(),
                                    .inherited = {{reader.get(), -1}}}).value();
  DWORD written = 0;
  ASSERT_TRUE(WriteFile(ends[1], "abc", 3, &written, nullptr));
  writer.reset();
  EXPECT_NE(process.Join()->exit_code(), 0);
  const std::string said = TextOf(process.TakeStderr());
  EXPECT_TRUE(StrContains(said, "brood: bootstrap: ")) << said;
}

TEST(ClosedPipeTest, SendingToAChildThatHasClosedItsEndIsUnavailable) {
  auto [ours, theirs] = Pipe().value();
  Process process = Context(StartMethod::kSpawn).Start(ClosesAtOnce, theirs).value();
  theirs.Close();
  ASSERT_EQ(process.Join()->exit_code(), 0);
  const absl::Status status = ours.SendBytes("nobody reads this");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(StrContains(status.message(), "ERROR_NO_DATA, 232 (") || StrContains(status.message(), "ERROR_BROKEN_PIPE, 109 (") ||
              StrContains(status.message(), "ERROR_PIPE_NOT_CONNECTED, 233 (")) << status;
}

// --- A job that is closed.

class ClosedJobTest : public testing::Test {
 protected:
  static std::shared_ptr<internal::WindowsState> Sleeper() {
    return internal::LaunchOnWindows({.argv = {OwnPath(), "--sleep"}}, {}).value();
  }
};

TEST_F(ClosedJobTest, IsAnErrorWithItsCodeToAllThatAsk) {
  LayerChecks checks;
  internal::Job job = internal::Job::Create({}, &checks).value();
  EXPECT_EQ(*job.ActiveProcesses(), 0u);
  job.Close();
  EXPECT_TRUE(StrContains(job.ActiveProcesses().status().message(), "QueryInformationJobObject: ERROR_INVALID_HANDLE, 6 ("))
      << job.ActiveProcesses().status();
}

TEST_F(ClosedJobTest, TakesTheChildWithItWhoseOutcomeIsLostNotExited) {
  const auto state = Sleeper();
  Process process = internal::ProcessOf(state);
  state->job.Close();
  const Outcome outcome = process.Join().value();
  EXPECT_EQ(outcome.StatusWord(), "lost");
  EXPECT_TRUE(StrContains(outcome.ToString(), "ERROR_INVALID_HANDLE, 6 (")) << outcome.ToString();
  EXPECT_EQ(outcome.enforced.count(Layer::kTree), 0u);
}

// Somebody else holds the job, so that the child lives on.
TEST_F(ClosedJobTest, CannotKillAndSaysSo) {
  const auto state = Sleeper();
  Process process = internal::ProcessOf(state);
  UniqueFd other = Duplicate(state->job.get());
  ASSERT_TRUE(other.valid());
  state->job.Close();
  const absl::Status status = process.Kill();
  EXPECT_TRUE(StrContains(status.message(), "TerminateJobObject ") && StrContains(status.message(), "ERROR_INVALID_HANDLE, 6 ("))
      << status;
  EXPECT_TRUE(process.IsAlive());
  other.reset();
  EXPECT_EQ(process.Join()->StatusWord(), "lost");
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) {
  using namespace brood;
  if (const char* const code = std::getenv("BROOD_TEST_ENDS_WITH"); code != nullptr) return std::atoi(code);
  Bootstrap(argc, argv);
  if (argc > 1 && std::string_view(argv[1]) == "--sleep") SleepForEver();
  if (argc > 1 && std::string_view(argv[1]) == "--arguments") {
    int count = 0;
    wchar_t** const arguments = CommandLineToArgvW(GetCommandLineW(), &count);
    std::vector<std::string> rest;
    for (int i = 2; i < count; ++i) rest.push_back(ToUtf8(arguments[i]));
    const std::string text = absl::StrJoin(rest, "|");
    DWORD written = 0;
    // Not by the C library, which changes line ends.
    WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), text.data(), static_cast<DWORD>(text.size()), &written, nullptr);
    return static_cast<int>(rest.size());
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
