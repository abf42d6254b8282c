// Targets of DLLs: real children that load them.
#include "bootstrap/plugin.h"

#include <windows.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/file.h"
#include "base/status.h"
#include "base/windows_handle.h"
#include "base/windows_text.h"
#include "bootstrap/json_arguments.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"

namespace brood {
namespace {

using absl::StrContains;

// Of a name that a plugin has, too.
int Byte(int x) { return 1000 + x; }
BROOD_TARGET_AS("byte", Byte);

std::string Folder() {
  const char* const runfiles = std::getenv("TEST_SRCDIR");
  const char* const workspace = std::getenv("TEST_WORKSPACE");
  return absl::StrCat(runfiles != nullptr ? runfiles : ".", "\\", workspace != nullptr ? workspace : "brood", "\\tests\\plugins");
}

std::string Plugin(std::string_view name) { return absl::StrCat(Folder(), "\\", name, ".dll"); }

std::string TextOf(const UniqueFd& file) {
  std::string text;
  char buffer[65536];
  DWORD count = 0;
  while (ReadFile(HandleOf(file.get()), buffer, sizeof(buffer), &count, nullptr) && count > 0) text.append(buffer, count);
  return text;
}

class PluginTest : public testing::Test {
 protected:
  absl::StatusOr<CallResult> CallTarget(std::string_view target, std::vector<std::string> json = {}, ContextOptions options = {}) {
    std::vector<TypedValue> arguments;
    for (const std::string& text : json) arguments.push_back(JsonArgument(text));
    LaunchOptions launch = {.stdout_spec = Stdio::Capture(), .stderr_spec = Stdio::Null(), .name = "worker"};
    BROOD_ASSIGN_OR_RETURN(Process process, Context(StartMethod::kSpawn, options).StartByName(launch, target, std::move(arguments)));
    BROOD_ASSIGN_OR_RETURN(Outcome outcome, process.Join());
    said_ = TextOf(process.TakeStdout());
    const auto value = process.ResultValue();
    error_ = value.status();
    return CallResult{std::move(outcome), value.ok() ? *value : std::nullopt};
  }

  absl::Status Refusal(std::string_view target) { return CallTarget(target).status(); }

  std::string said_;
  absl::Status error_;
};

TEST_F(PluginTest, ATargetOfADllGivesItsValue) {
  const CallResult result = CallTarget(Plugin("values") + ":byte", {"7"}).value();
  EXPECT_EQ(result.outcome.ToString(), "exited with code 0");
  EXPECT_EQ(Unpack<uint8_t>(result.value.value()).value(), 7);
  const CallResult text = CallTarget(Plugin("values") + ":string", {"\"\xc3\xa4\""}).value();
  EXPECT_EQ(Unpack<std::string>(text.value.value()).value(), "\xc3\xa4");
  EXPECT_TRUE(CallTarget(Plugin("values") + ":both", {"true", R"({"a":1})"})->value.has_value());
}

TEST_F(PluginTest, ItIsNotTheProgramsOfThatNameAndTheCallerLoadsNothing) {
  EXPECT_EQ(Unpack<int>(CallTarget("byte", {"7"})->value.value()).value(), 1007);
  EXPECT_EQ(Unpack<uint8_t>(CallTarget(absl::StrCat(Folder(), "\\VALUES.DLL:byte"), {"7"})->value.value()).value(), 7);
  EXPECT_EQ(GetModuleHandleW(L"values.dll"), nullptr);
}

TEST_F(PluginTest, ANameWithoutAFolderIsLookedForInThoseOfTheContextOnly) {
  const ContextOptions folders = {.plugin_path = {"C:\\nowhere", Folder()}};
  EXPECT_TRUE(CallTarget("values.dll:byte", {"7"}, folders).ok());
  const absl::Status elsewhere = CallTarget("values.dll:byte", {"7"}, {.plugin_path = {"C:\\nowhere"}}).status();
  EXPECT_TRUE(StrContains(elsewhere.message(), "plugin values.dll: not in C:\\nowhere; a path to it has a backslash")) << elsewhere;
  // Not even one that the system would find.
  EXPECT_TRUE(StrContains(Refusal("kernel32.dll:Sleep").message(), "no folders are given")) << Refusal("kernel32.dll:Sleep");
}

TEST_F(PluginTest, WhatCannotBeLoadedSaysWhyWithTheSystemsCode) {
  const absl::Status missing = Refusal("C:\\no\\such.dll:f");
  EXPECT_TRUE(StrContains(missing.message(), "open plugin C:\\no\\such.dll: ERROR_PATH_NOT_FOUND, 3 (")) << missing;
  const absl::Status no_file = Refusal("C:\\windows\\none-such.dll:f");
  EXPECT_TRUE(StrContains(no_file.message(), "open plugin C:\\windows\\none-such.dll: ERROR_FILE_NOT_FOUND, 2 (")) << no_file;
  const std::string text = absl::StrCat(testing::TempDir(), "\\text-", GetCurrentProcessId(), ".dll");
  ASSERT_EQ(WriteAll(OpenToReplace(text).value().get(), text, "not a library"), absl::OkStatus());
  const absl::Status no_dll = Refusal(text + ":f");
  EXPECT_TRUE(StrContains(no_dll.message(), absl::StrCat("\\text-", GetCurrentProcessId(), ".dll: ERROR_BAD_EXE_FORMAT, 193 ("))) << no_dll;
  const std::string folder = absl::StrCat(testing::TempDir(), "\\folder-", GetCurrentProcessId(), ".dll");
  ASSERT_TRUE(CreateDirectoryW(ToWide(folder, "folder")->c_str(), nullptr));
  EXPECT_TRUE(StrContains(Refusal(folder + ":f").message(), "ERROR_ACCESS_DENIED, 5 (")) << Refusal(folder + ":f");
}

// A copy that asks for another C library, which is not there.
TEST_F(PluginTest, OneThatNeedsADllThatIsNotThereSaysSo) {
  std::string bytes = TextOf(OpenToRead(Plugin("values")).value());
  ASSERT_GT(absl::StrReplaceAll({{"msvcrt.dll", "absent.dll"}}, &bytes), 0);
  const std::string path = absl::StrCat(testing::TempDir(), "\\needs-", GetCurrentProcessId(), ".dll");
  ASSERT_EQ(WriteAll(OpenToReplace(path).value().get(), path, bytes), absl::OkStatus());
  const absl::Status status = Refusal(path + ":byte");
  EXPECT_TRUE(StrContains(status.message(), absl::StrCat("\\needs-", GetCurrentProcessId(), ".dll: ERROR_MOD_NOT_FOUND, 126 ("))) << status;
  EXPECT_TRUE(StrContains(status.message(), "a DLL that it needs")) << status;
}

TEST_F(PluginTest, ANameThatItLacksIsRefusedWithThoseThatItHas) {
  const absl::Status status = Refusal(Plugin("values") + ":nothing");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);  // Of the child's set-up.
  EXPECT_TRUE(StrContains(status.message(), "target \"nothing\": not in plugin ")) << status;
  EXPECT_TRUE(StrContains(status.message(), "which has both, byte, bytes, double, maybe, point, string")) << status;
  EXPECT_TRUE(StrContains(Refusal(Plugin("foreign") + ":Seven").message(), "which registers no targets")) << Refusal(Plugin("foreign") + ":Seven");
}

TEST_F(PluginTest, OneThatWasBuiltForAnotherBroodIsRefusedWithBothVersions) {
  const absl::Status refused = Refusal(Plugin("other_abi") + ":Nothing");
  EXPECT_TRUE(StrContains(refused.message(), "built for another brood (brood 0, Abseil head, string ABI 1; this is brood 1, ")) << refused;
}

// A copy that says that it has another C library.
TEST_F(PluginTest, OneWithAnotherCLibraryIsRefusedWithBoth) {
  std::string bytes = TextOf(OpenToRead(Plugin("values")).value());
  ASSERT_GT(absl::StrReplaceAll({{"C library ", "C LIBRARY "}}, &bytes), 0);
  const std::string path = absl::StrCat(testing::TempDir(), "\\runtime-", GetCurrentProcessId(), ".dll");
  ASSERT_EQ(WriteAll(OpenToReplace(path).value().get(), path, bytes), absl::OkStatus());
  const absl::Status status = Refusal(path + ":byte");
  EXPECT_TRUE(StrContains(status.message(), "built with another C runtime (C LIBRARY ")) << status;
}

TEST_F(PluginTest, AnInitialiserThatThrowsOrEndsTheProcessIsAFailedSetUp) {
  const absl::Status threw = Refusal(Plugin("throws_at_load") + ":Nothing");
  EXPECT_EQ(threw.code(), absl::StatusCode::kFailedPrecondition) << threw;
  EXPECT_TRUE(StrContains(threw.message(), "bootstrap: ")) << threw;
  const absl::Status ended = Refusal(Plugin("exits_at_load") + ":Nothing");
  EXPECT_TRUE(StrContains(ended.message(), "a static initialiser ended the process") ||
              StrContains(ended.message(), "before its target was ready")) << ended;
}

TEST_F(PluginTest, ExitIsTheProgramsAndFinalizersAreToo) {
  const CallResult result = CallTarget(Plugin("ends") + ":Exits", {"7"}).value();
  EXPECT_EQ(result.outcome.exit_code(), 7);
  EXPECT_EQ(said_, "unwound\r\nfinalized\r\nearly\r\n");
  EXPECT_EQ(CallTarget(Plugin("ends") + ":GivesCode", {"9"})->outcome.exit_code(), 9);
}

TEST_F(PluginTest, ErrorsCrossAsTheyAre) {
  EXPECT_EQ(CallTarget(Plugin("ends") + ":Throws", {"\"broken\""})->outcome.exit_code(), 1);
  EXPECT_EQ(error_.message(), "std::runtime_error: broken");
  EXPECT_EQ(CallTarget(Plugin("ends") + ":Refuses")->outcome.exit_code(), 1);
  EXPECT_EQ(error_, absl::NotFoundError("nothing there"));
  EXPECT_EQ(Unpack<int>(CallTarget(Plugin("ends") + ":Catches", {"5"})->value.value()).value(), 5);
}

TEST_F(PluginTest, ItKnowsWhichProcessItIsIn) {
  EXPECT_EQ(Unpack<std::string>(CallTarget(Plugin("ends") + ":OwnName")->value.value()).value(), "worker of MainProcess");
}

TEST(PluginNameTest, APluginsNameEndsInDll) {
  const auto split = [](std::string_view target) {
    const std::optional<PluginTarget> plugin = SplitPluginTarget(target);
    return plugin.has_value() ? absl::StrCat(plugin->path, "|", plugin->name) : "";
  };
  EXPECT_EQ(split("job.dll:norm"), "job.dll|norm");
  EXPECT_EQ(split("C:\\a b\\job.DLL:jobs::norm"), "C:\\a b\\job.DLL|jobs::norm");
  EXPECT_EQ(split("C:job.dll"), "C:job.dll|");
  EXPECT_EQ(split("job.dll:"), "job.dll|");
  EXPECT_EQ(split("job.dll:jobs.sort"), "job.dll|jobs.sort");
  for (const char* const none : {"", "norm", "jobs::norm", "jobs.dll.sort", ".dll:norm", "C:\\.dll:norm", "dll:norm"}) {
    EXPECT_EQ(split(none), "") << none;
  }
}

}  // namespace
}  // namespace brood
