#include "launcher/command_line_windows.h"

#include <windows.h>
// After windows.h, whose types it needs.
#include <shellapi.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/windows_text.h"
#include "gtest/gtest.h"

namespace brood::internal {
namespace {

// What Windows makes of the line.
std::vector<std::string> Parsed(const std::wstring& line) {
  int count = 0;
  wchar_t** const argv = CommandLineToArgvW(line.c_str(), &count);
  std::vector<std::string> result;
  for (int i = 0; i < count; ++i) result.push_back(ToUtf8(argv[i]));
  LocalFree(argv);
  return result;
}

TEST(CommandLineTest, NastyArgumentsComeBackAsTheyWere) {
  const std::vector<std::string> nasty = {"",        " ",          "\t",      "a b",        "\"",          "\"\"",      "a\"b",   "a\\",
                                          "a\\\\",  "a b\\",     "a b\\\\", "\\\"",       "\\\\\"",       "a\\b",     "\\",     "\\\\",
                                          "a\\\"b c", "%PATH%",     "^&|<>()", "'single'",   "\n",          "*.txt",    "--x=\"y z\"", "\xc3\xa4",
                                          "\xf0\x9f\x90\xa3", "\" \\\"", "end\\\\\""};
  std::vector<std::string> argv = {"C:\\Program Files\\a.exe"};
  for (const std::string& argument : nasty) {
    EXPECT_EQ(Parsed(CommandLine({"p", argument}).value()), (std::vector<std::string>{"p", argument}));
    argv.push_back(argument);
  }
  EXPECT_EQ(Parsed(CommandLine(argv).value()), argv);
}

// Every string of up to five of the characters that the rules are about.
TEST(CommandLineTest, AllShortStringsOfQuotesBackslashesAndSpacesComeBack) {
  std::vector<std::string> last = {""};
  for (int length = 1; length <= 5; ++length) {
    std::vector<std::string> next;
    for (const std::string& text : last) {
      for (const char c : {'"', '\\', ' ', 'a'}) next.push_back(text + c);
    }
    for (const std::string& text : next) {
      ASSERT_EQ(Parsed(CommandLine({"p", text, "end"}).value()), (std::vector<std::string>{"p", text, "end"}));
    }
    last = std::move(next);
  }
}

TEST(CommandLineTest, TheLimitIsThatOfWindows) {
  const size_t fits = kMaxCommandLine - 1 - 2;
  EXPECT_TRUE(CommandLine({"p", std::string(fits, 'x')}).ok());
  const absl::Status status = CommandLine({"p", std::string(fits + 1, 'x')}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "32767 characters, Windows takes 32766")) << status;
}

TEST(CommandLineTest, WhatCannotBePassedOnIsRefused) {
  EXPECT_EQ(CommandLine({"p\"q"}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CommandLine({"p", std::string("a\0b", 3)}).status().message(), "argv[1]: contains a zero byte");
  EXPECT_EQ(CommandLine({"p", "\xff"}).status().message(), "argv[1]: is not UTF-8");
}

TEST(CommandLineTest, BatchFilesAreRefusedHoweverTheirNamesAreWritten) {
  for (const wchar_t* path : {L"a.bat", L"C:\\x\\A.CMD", L"a.bat.", L"a.bat ", L"a.cmd. ."}) {
    EXPECT_EQ(CheckNoBatchFile(path).code(), absl::StatusCode::kInvalidArgument);
  }
  for (const wchar_t* path : {L"a.exe", L"bat", L"a.bat.exe"}) EXPECT_TRUE(CheckNoBatchFile(path).ok());
}

}  // namespace
}  // namespace brood::internal
