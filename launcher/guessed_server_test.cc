// A program is sent to the server that its thread has used last, and is let go once that was found to be the right one.
#include <fcntl.h>
#include <poll.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/unique_fd.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/launch_internal.h"
#include "launcher/process.h"
#include "launcher/served_start.h"

namespace brood {
namespace {

using internal::LaunchTarget;
using internal::ServedStart;

int MaskAndRun(const std::string& path) {
  const mode_t mask = umask(0);
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  return write(file.get(), "x", 1) == 1 ? static_cast<int>(mask) : -1;
}
BROOD_TARGET(MaskAndRun);

class GuessedServerTest : public testing::Test {
 protected:
  GuessedServerTest() {
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    EXPECT_EQ(chmod(folder_.c_str(), 0777), 0);
    policy_.files.push_back({.source = folder_, .destination = "/given", .access = FileRule::Access::kReadWrite});
    options_.policy = CompilePolicy(policy_).value();
    options_.stdin_spec = Stdio::Null();
    options_.stdout_spec = Stdio::Capture();
  }
  ~GuessedServerTest() override { std::filesystem::remove_all(folder_); }

  // What the script prints.
  std::string Run(const std::string& script) const {
    LaunchOptions options = options_;
    options.argv = {"/bin/sh", "-c", script};
    absl::StatusOr<Process> process = context_.Launch(options);
    if (!process.ok()) return absl::StrCat("not launched: ", process.status().ToString());
    const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(60));
    if (!outcome.ok() || !outcome->ok()) return absl::StrCat("failed: ", outcome.ok() ? outcome->ToString() : outcome.status().ToString());
    char text[4096];
    const ssize_t n = pread(process->TakeStdout().get(), text, sizeof(text), 0);
    return std::string(text, n > 0 ? static_cast<size_t>(n) : 0);
  }

  // Sends a program to the server that this thread has used last, and never says the word.
  absl::StatusOr<Process> LaunchWithoutWord(const LaunchOptions& options) const {
    std::optional<ServedStart> served = ServedStart::Guess(ContextOptions());
    if (!served.has_value()) return absl::NotFoundError("nothing to guess by");
    LaunchTarget target;
    target.awaits_word = true;
    return LaunchInternal(options, target, [&](const LaunchRecord& record) { return served->Launch(record); });
  }

  uintmax_t SizeOf(const std::string& name) const {
    std::error_code none;
    const uintmax_t size = std::filesystem::file_size(folder_ + "/" + name, none);
    return none ? 0 : size;
  }

  const Context context_{StartMethod::kForkServer};
  Policy policy_ = BuiltinPolicy("default").value();
  LaunchOptions options_;
  std::string folder_ = absl::StrCat(testing::TempDir(), "/brood-guess-XXXXXX");
};

TEST_F(GuessedServerTest, AProgramHasTheUmaskOfItsOwnLaunchAndRunsOnce) {
  const mode_t before = umask(022);
  EXPECT_EQ(Run("umask; printf x >> /given/runs"), "0022\n");
  for (const mode_t mask : {077, 027, 022, 0, 022}) {
    umask(mask);
    EXPECT_EQ(Run("umask; printf x >> /given/runs"), absl::StrFormat("%04o\n", mask));
  }
  umask(before);
  EXPECT_EQ(SizeOf("runs"), 6u);
}

TEST_F(GuessedServerTest, AFunctionHasTheUmaskOfItsOwnStartAndRunsOnce) {
  const mode_t before = umask(022);
  EXPECT_EQ(context_.Call(MaskAndRun, folder_ + "/runs").value(), 022);
  for (const mode_t mask : {022, 077, 027, 022, 0, 022, 022}) {
    umask(mask);
    EXPECT_EQ(context_.Call(MaskAndRun, folder_ + "/runs").value(), static_cast<int>(mask));
  }
  umask(022);
  for (const mode_t mask : {022, 077, 027, 022, 022}) {
    umask(mask);
    EXPECT_EQ(context_.Call(options_, MaskAndRun, "/given/runs").value(), static_cast<int>(mask));
  }
  umask(before);
  EXPECT_EQ(SizeOf("runs"), 13u);
}

TEST_F(GuessedServerTest, EachThreadsProgramsHaveItsOwnPersonality) {
  const auto launch = [this](unsigned long own) {
    EXPECT_NE(personality(own), -1);
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(Run("cat /proc/self/personality; printf x >> /given/runs"), absl::StrFormat("%08x\n", own));
    }
  };
  std::thread one(launch, ADDR_NO_RANDOMIZE);
  std::thread other(launch, 0);
  one.join();
  other.join();
  EXPECT_EQ(SizeOf("runs"), 20u);
}

TEST_F(GuessedServerTest, APersonalityThatChangesBetweenTwoLaunchesIsTheLaterOnes) {
  std::thread([this] {
    for (int i = 0; i < 10; ++i) {
      const unsigned long own = i % 3 == 1 ? ADDR_NO_RANDOMIZE : 0;
      EXPECT_NE(personality(own), -1);
      EXPECT_EQ(Run("cat /proc/self/personality; printf x >> /given/runs"), absl::StrFormat("%08x\n", own));
    }
  }).join();
  EXPECT_EQ(SizeOf("runs"), 10u);
}

TEST_F(GuessedServerTest, WithoutTheWordNothingRunsAndTheSandboxIsKept) {
  const std::string sandbox = Run("readlink /proc/self/ns/mnt");
  LaunchOptions options = options_;
  options.argv = {"/bin/sh", "-c", "printf x >> /given/runs"};
  for (int i = 0; i < 3; ++i) {
    absl::StatusOr<Process> process = LaunchWithoutWord(options);
    ASSERT_TRUE(process.ok()) << process.status();
    // It is born, and waits.
    EXPECT_EQ(process->Join(absl::Milliseconds(50)).status().code(), absl::StatusCode::kDeadlineExceeded);
  }
  EXPECT_EQ(SizeOf("runs"), 0u);
  EXPECT_EQ(Run("readlink /proc/self/ns/mnt"), sandbox);
}

TEST_F(GuessedServerTest, WhatIsThrownAwayAtOnceDoesNotHarmTheNext) {
  LaunchOptions options = options_;
  options.argv = {"/bin/sh", "-c", "printf x >> /given/runs"};
  ASSERT_EQ(Run("echo 0"), "0\n");
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(LaunchWithoutWord(options).ok());
    EXPECT_EQ(Run(absl::StrCat("echo ", i)), absl::StrCat(i, "\n"));
  }
  EXPECT_EQ(SizeOf("runs"), 0u);
}

TEST_F(GuessedServerTest, WhoseOwnerIsKilledBeforeTheWordEndsAndNeverRuns) {
  int pair[2];
  ASSERT_EQ(pipe2(pair, O_CLOEXEC), 0);
  const UniqueFd reader(pair[0]);
  UniqueFd writer(pair[1]);
  const pid_t owner = fork();
  ASSERT_GE(owner, 0);
  if (owner == 0) {
    Run("true");
    LaunchOptions options = options_;
    options.argv = {"/bin/sh", "-c", "printf x >> /given/runs"};
    options.inherited = {{.fd = writer.get(), .child_fd = 3}};
    const absl::StatusOr<Process> process = LaunchWithoutWord(options);
    if (!process.ok() || write(writer.get(), "l", 1) != 1) _exit(1);
    for (;;) pause();
  }
  writer.reset();
  char text[2];
  ASSERT_EQ(read(reader.get(), text, 1), 1);
  ASSERT_EQ(kill(owner, SIGKILL), 0);
  ASSERT_EQ(waitpid(owner, nullptr, 0), owner);
  // The last one that holds the other end has ended.
  pollfd end = {.fd = reader.get(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(poll(&end, 1, 30'000), 1);
  EXPECT_EQ(read(reader.get(), text, 1), 0);
  EXPECT_EQ(SizeOf("runs"), 0u);
}

}  // namespace
}  // namespace brood
