// What a child has of its parent, whichever way it is born, on every system.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "ipc/auth_key.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

std::vector<std::string> VariableAndFolder() {
  const char* const variable = std::getenv("BROOD_CONFORMANCE");
  return {variable == nullptr ? "unset" : variable, std::filesystem::current_path().string()};
}
BROOD_TARGET(VariableAndFolder);

size_t CountDescriptorsAtTheEnd(const UniqueFd& pipe) {
  WaitForEnd(pipe);
  return OpenDescriptors().size();
}
BROOD_TARGET(CountDescriptorsAtTheEnd);

BROOD_TARGET(CommandLineAndEnvironment);

std::string ReadFourBytes() {
  char bytes[4];
  return std::string(bytes, std::fread(bytes, 1, sizeof(bytes), stdin));
}
BROOD_TARGET(ReadFourBytes);

using InheritanceTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(InheritanceTest);

// Changed after the first start: nobody must have kept them from then.
TEST_P(InheritanceTest, EnvironmentAndFolderAreTheCallersAtTheStart) {
  const TemporaryFolder folder;
  const std::filesystem::path before = std::filesystem::current_path();
  const std::vector<std::string> first = context_.Call(VariableAndFolder).value();
  std::filesystem::current_path(folder.path());
  SetVariable("BROOD_CONFORMANCE", "set later");
  const std::vector<std::string> mine = VariableAndFolder();
  const absl::StatusOr<std::vector<std::string>> childs = context_.Call(VariableAndFolder);
  std::filesystem::current_path(before);
  EXPECT_NE(first, mine);
  EXPECT_EQ(childs.value(), mine);
}

// It would keep the pipe from its end.
TEST_P(InheritanceTest, WhatIsInheritableAndWasNotPassedIsNotInTheChild) {
  RawPipe pipe;
  UniqueFd inheritable = InheritableCopy(pipe.writer);
  ASSERT_TRUE(inheritable.valid());
  Process process = StartWaiting();
  inheritable.reset();
  pipe.writer.reset();
  EXPECT_TRUE(EndsWithinPatience(pipe.reader.get()));
  EXPECT_TRUE(process.IsAlive());
  Release();
  EXPECT_EQ(process.Join(absl::Milliseconds(kPatienceMs))->exit_code(), 0);
}

// Children do not have the pipes of their siblings (test_child_fd_inflation).
TEST_P(InheritanceTest, TheNumberOfDescriptorsDoesNotGrowWithTheSiblings) {
  std::vector<Process> processes;
  std::vector<RawPipe> pipes(5);
  for (const RawPipe& pipe : pipes) processes.push_back(context_.Start(CountDescriptorsAtTheEnd, pipe.reader).value());
  std::set<size_t> counts;
  for (size_t i = 0; i < 5; ++i) {
    pipes[i].writer.reset();
    counts.insert(processes[i].Result<size_t>().value());
  }
  EXPECT_EQ(counts.size(), 1u);
}

// The key that proves who belongs together (test_forkserver_auth_is_enabled) is where nobody else can read it.
TEST_P(InheritanceTest, TheAuthKeyIsInNoCommandLineAndNoEnvironment) {
  const std::string key(CurrentAuthKey().value().secret_bytes());
  ASSERT_GE(key.size(), 16u);
  const std::string visible = context_.Call(CommandLineAndEnvironment).value();
  ASSERT_FALSE(visible.empty());
  EXPECT_EQ(visible.find(key), std::string::npos);
  EXPECT_EQ(visible.find(absl::BytesToHexString(key)), std::string::npos);
  EXPECT_EQ(visible.find(absl::Base64Escape(key)), std::string::npos);
}

TEST_P(InheritanceTest, StandardInputIsWhatTheCallerSays) {
  RawPipe pipe;
  for (const char letter : {'w', 'o', 'r', 'd'}) WriteByte(pipe.writer, letter);
  LaunchOptions options;
  options.stdin_spec = Stdio::Fd(pipe.reader.get());
  EXPECT_EQ(context_.Call(options, ReadFourBytes).value(), "word");
  options.stdin_spec = Stdio::Null();
  EXPECT_EQ(context_.Call(options, ReadFourBytes).value(), "");
}

}  // namespace
}  // namespace brood
