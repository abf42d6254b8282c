#include "cli/testdata/windows_brood.h"

#include <windows.h>
// After windows.h, whose types it needs.
#include <shellapi.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/windows_handle.h"
#include "base/windows_text.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

std::string Runfile(std::string_view path) {
  const char* const runfiles = std::getenv("TEST_SRCDIR");
  const char* const workspace = std::getenv("TEST_WORKSPACE");
  return absl::StrCat(runfiles != nullptr ? runfiles : ".", "\\", workspace != nullptr ? workspace : "brood", "\\", path);
}

std::string RestOf(int file) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const absl::StatusOr<size_t> count = ReadSome(file, buffer, sizeof(buffer), "output");
    EXPECT_TRUE(count.ok()) << count.status();
    if (!count.ok() || *count == 0) return text;
    text.append(buffer, *count);
  }
}

}  // namespace

StartedBrood::StartedBrood(const std::vector<std::string>& args, std::string_view input) {
  LaunchOptions options = {.argv = {Runfile("cli\\brood.exe")}};
  options.argv.insert(options.argv.end(), args.begin(), args.end());
  static int number = 0;
  input_ = OpenToRead(TempFile(absl::StrCat("input", ++number), input)).value();
  options.stdin_spec = Stdio::Fd(input_.get());
  options.stdout_spec = Stdio::Capture();
  options.stderr_spec = Stdio::Capture();
  absl::StatusOr<Process> process = Process::Start(options);
  EXPECT_TRUE(process.ok()) << process.status();
  if (process.ok()) process_.emplace(*std::move(process));
}

void StartedBrood::Kill() { EXPECT_TRUE(TerminateProcess(HandleOf(process_->sentinel()), 1)); }

Finished StartedBrood::Wait() {
  if (!process_.has_value()) return {.exit_code = -1, .out = "", .err = ""};
  const absl::StatusOr<Outcome> outcome = process_->Join();
  EXPECT_TRUE(outcome.ok()) << outcome.status();
  if (!outcome.ok()) return {};
  return {.exit_code = outcome->exit_code(), .out = RestOf(process_->TakeStdout().get()), .err = RestOf(process_->TakeStderr().get())};
}

Finished RunBrood(const std::vector<std::string>& args, std::string_view input) { return StartedBrood(args, input).Wait(); }

std::string OwnPath() {
  wchar_t path[1024];
  return ToUtf8(std::wstring_view(path, GetModuleFileNameW(nullptr, path, 1024)));
}

std::string PluginPath(std::string_view name) { return Runfile(absl::StrCat("tests\\plugins\\", name, ".dll")); }

std::vector<std::string> OwnArguments() {
  int count = 0;
  wchar_t** const argv = CommandLineToArgvW(GetCommandLineW(), &count);
  std::vector<std::string> result;
  for (int i = 0; i < count; ++i) result.push_back(ToUtf8(argv[i]));
  LocalFree(argv);
  return result;
}

std::string TempPath(std::string_view name) {
  static const auto* const directory = [] {
    auto* const path = new std::string(absl::StrCat(testing::TempDir(), "\\brood_cli_", GetCurrentProcessId()));
    EXPECT_TRUE(CreateDirectoryW(ToWide(*path, "path")->c_str(), nullptr)) << *path;
    return path;
  }();
  return absl::StrCat(*directory, "\\", name);
}

std::string TempFile(std::string_view name, std::string_view content) {
  const std::string path = TempPath(name);
  EXPECT_EQ(WriteAll(OpenToReplace(path).value().get(), path, content), absl::OkStatus());
  return path;
}

std::string FileContent(const std::string& path) {
  const absl::StatusOr<UniqueFd> file = OpenToRead(path);
  return file.ok() ? RestOf(file->get()) : "";
}

}  // namespace brood
