// Programs, streams and folders whose paths are longer than MAX_PATH. The program is this one again, with a first argument.
#include <windows.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/windows_handle.h"
#include "base/windows_path.h"
#include "base/windows_text.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"

namespace brood {

int Square(int x) { return x * x; }
BROOD_TARGET(Square);

namespace {

std::wstring Wide(const std::string& text) { return ToWide(text, "path").value(); }

std::string OwnPath() {
  wchar_t path[1024];
  return ToUtf8(std::wstring_view(path, GetModuleFileNameW(nullptr, path, 1024)));
}

// A folder of some six hundred characters, with a copy of this program in it. Both go with the object.
class LongPathTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = absl::StrCat(testing::TempDir(), "long-", GetCurrentProcessId());
    for (int i = 0; i < 6; ++i) {
      ASSERT_TRUE(CreateDirectoryW(AnyLength(Wide(path)).c_str(), nullptr)) << path << ": " << GetLastError();
      folders_.push_back(path);
      absl::StrAppend(&path, "\\", std::string(100, static_cast<char>('a' + i)));
    }
    program_ = folders_.back() + "\\program.exe";
    ASSERT_TRUE(CopyFileW(Wide(OwnPath()).c_str(), AnyLength(Wide(program_)).c_str(), TRUE)) << GetLastError();
    SetFileAttributesW(AnyLength(Wide(program_)).c_str(), FILE_ATTRIBUTE_NORMAL);
    ASSERT_GT(program_.size(), 500u);
  }
  void TearDown() override {
    for (const std::string& file : files_) EXPECT_TRUE(DeleteFileW(AnyLength(Wide(file)).c_str())) << file;
    EXPECT_TRUE(DeleteFileW(AnyLength(Wide(program_)).c_str()));
    for (; !folders_.empty(); folders_.pop_back()) EXPECT_TRUE(RemoveDirectoryW(AnyLength(Wide(folders_.back())).c_str()));
  }

  // Without brood, by the name that this has for it.
  bool StartsProgramsFromThere() const {
    std::wstring line = L"program --say \"\"";
    STARTUPINFOW startup = {};
    startup.cb = sizeof(startup);
    PROCESS_INFORMATION born = {};
    if (!CreateProcessW(AnyLength(Wide(program_)).c_str(), line.data(), nullptr, nullptr, FALSE, 0, nullptr, nullptr, &startup, &born)) return false;
    const UniqueFd thread = Own(born.hThread);
    const UniqueFd process = Own(born.hProcess);
    return WaitForSingleObject(born.hProcess, 60'000) == WAIT_OBJECT_0;
  }

  std::vector<std::string> folders_;
  std::vector<std::string> files_;
  std::string program_;
};

TEST_F(LongPathTest, OutputGoesThere) {
  const std::string output = folders_.back() + "\\output";
  files_.push_back(output);
  Process process = Process::Start({.argv = {OwnPath(), "--say", "word"}, .stdout_spec = Stdio::Path(output)}).value();
  EXPECT_EQ(process.Join()->exit_code(), 0);
  char text[16];
  const UniqueFd file = OpenToRead(output).value();
  EXPECT_EQ(std::string(text, ReadSome(file.get(), text, sizeof(text), output).value()), "word");
}

TEST_F(LongPathTest, AProgramFromThereRunsOrItIsSaidThatItsNameIsTooLong) {
  const absl::StatusOr<Process> process = Process::Start({.argv = {program_, "--say", ""}});
  EXPECT_EQ(process.ok(), StartsProgramsFromThere());
  if (process.ok()) return;
  EXPECT_EQ(process.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(process.status().message(), absl::StrCat("exec ", program_, ": ERROR_FILENAME_EXCED_RANGE, 206 (")))
      << process.status();
}

TEST_F(LongPathTest, AProgramIsFoundThereByThePathVariable) {
  const absl::StatusOr<Process> process = Process::Start({.argv = {"program", "--say", ""}, .env = {"PATH=" + folders_.back()}});
  EXPECT_EQ(process.ok(), StartsProgramsFromThere());
  EXPECT_NE(process.status().code(), absl::StatusCode::kNotFound);
}

TEST_F(LongPathTest, AFunctionRunsInAProgramFromThereAndThatSpawnsItself) {
  if (!StartsProgramsFromThere()) GTEST_SKIP() << "this system starts no program whose path has " << program_.size() << " characters";
  EXPECT_EQ(Context(StartMethod::kSpawn, {.executable = program_}).Call(Square, 7).value(), 49);
  Process process = Process::Start({.argv = {program_, "--square", "7"}}).value();
  EXPECT_EQ(process.Join()->exit_code(), 49);
}

TEST_F(LongPathTest, WhatIsMissingThereIsNotFoundAndNamed) {
  const std::string missing = folders_.back() + "\\missing.exe";
  const absl::Status status = Process::Start({.argv = {missing}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat("exec ", missing, ": ERROR_FILE_NOT_FOUND, 2 ("))) << status;
}

// No form of it makes Windows take a longer one.
TEST_F(LongPathTest, AsACurrentFolderItIsRefusedWithItsLength) {
  const absl::Status status = Process::Start({.argv = {program_, "--say", ""}, .cwd = folders_.back()}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat(folders_.back(), ": it has ", folders_.back().size(), " characters, and Windows takes 258 for a current folder"))) << status;
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) {
  using namespace brood;
  Bootstrap(argc, argv);
  if (argc > 2 && std::string_view(argv[1]) == "--say") {
    std::fputs(argv[2], stdout);
    return 0;
  }
  if (argc > 2 && std::string_view(argv[1]) == "--square") return Context(StartMethod::kSpawn).Call(Square, std::atoi(argv[2])).value_or(1);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
