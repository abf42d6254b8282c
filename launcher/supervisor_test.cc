// The forkserver's supervisor and its keepers, which are the guardians of targets that have no guardian of their own.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"

namespace brood {
namespace {

// --- targets: one behaviour each ---

BROOD_TARGET(SupervisorAbove);

void WaitForEnd(const UniqueFd& pipe) {
  char byte;
  while (read(pipe.get(), &byte, 1) < 0 && errno == EINTR) {
  }
}
BROOD_TARGET(WaitForEnd);

// A process that has lost its parent, in a session of its own, holding `pipe`.
void LeaveDaemon(const UniqueFd& /*pipe*/) {
  if (fork() != 0) return;
  setsid();
  if (fork() != 0) _exit(0);
  while (true) pause();
}
BROOD_TARGET(LeaveDaemon);

int ParentPid() { return getppid(); }
BROOD_TARGET(ParentPid);

void KillParent() { kill(getppid(), SIGKILL); }
BROOD_TARGET(KillParent);

void LeaveDaemonAndKillKeeper(const UniqueFd& pipe) {
  LeaveDaemon(pipe);
  kill(getppid(), SIGKILL);
  while (true) pause();
}
BROOD_TARGET(LeaveDaemonAndKillKeeper);

// Stops its keeper, and returns while that is stopped.
void StopKeeper() { kill(getppid(), SIGSTOP); }
BROOD_TARGET(StopKeeper);

void StopSupervisor() { kill(SupervisorAbove(), SIGSTOP); }
BROOD_TARGET(StopSupervisor);

// Ends, the first time, the server that it is of, and itself with that: `count` is a file with a byte for each time.
int64_t KillServerTheFirstTime(const std::string& count) {
  const UniqueFd file(open(count.c_str(), O_RDWR | O_APPEND | O_CLOEXEC));
  const off_t before = lseek(file.get(), 0, SEEK_END);
  if (write(file.get(), "x", 1) != 1) return -1;
  if (before == 0) kill(SupervisorAbove(), SIGKILL);
  while (before == 0) pause();
  return before;
}
BROOD_TARGET(KillServerTheFirstTime);

// --- helpers ---

bool HasEnded(const UniqueFd& reader) {
  pollfd polled = {reader.get(), POLLIN, 0};
  return poll(&polled, 1, 0) == 1 && (polled.revents & POLLHUP) != 0;
}

std::string EmptyFile(const std::string& name) {
  const std::string path = absl::StrCat(getenv("TEST_TMPDIR"), "/", name);
  std::ofstream(path, std::ios::trunc).flush();
  return path;
}

// --- the tests ---

TEST(SupervisorTest, ACallThatIsLostWithItsServerIsMadeAgainOnlyIfThatWasAsked) {
  const absl::StatusOr<int64_t> lost = Context(StartMethod::kForkServer).Call(KillServerTheFirstTime, EmptyFile("lost"));
  EXPECT_TRUE(absl::IsAborted(lost.status()) || absl::IsUnavailable(lost.status())) << lost.status();  // Whether or not its start was told before.
  // What follows would be lost with that one, too, as long as it has not ended: then there is another.
  while (!Context(StartMethod::kForkServer).Call(ParentPid).ok()) {
  }
  const Context context(StartMethod::kForkServer, {.retry_lost = 1});
  const absl::StatusOr<int64_t> again = context.Call(KillServerTheFirstTime, EmptyFile("again"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, 1);
  const absl::StatusOr<CallResult> named = context.CallByName({}, "KillServerTheFirstTime", {Pack(EmptyFile("named"))});
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_EQ(Unpack<int64_t>(*named->value).value_or(-1), 1);
}

TEST(SupervisorTest, WhatAChildLeavesRunningHasEndedWhenItsOutcomeIsThere) {
  const Context context(StartMethod::kForkServer);
  for (int i = 0; i < 20; ++i) {
    Ends pipe = MakePipe();
    Process child = context.Start(LeaveDaemon, pipe.writer).value();
    pipe.writer.reset();
    ASSERT_TRUE(child.Join().value().ok());
    ASSERT_TRUE(HasEnded(pipe.reader)) << i;
  }
}

TEST(SupervisorTest, OnlyWhatTheChildItselfHasLeftEndsWithIt) {
  const Context context(StartMethod::kForkServer);
  Ends go = MakePipe();
  Ends first_daemon = MakePipe();
  Process waiting = context.Start(WaitForEnd, go.reader).value();
  Process leaving = context.Start(LeaveDaemon, first_daemon.writer).value();
  first_daemon.writer.reset();
  EXPECT_TRUE(leaving.Join().value().ok());
  EXPECT_TRUE(HasEnded(first_daemon.reader));
  EXPECT_TRUE(waiting.IsAlive());
  go.writer.reset();
  EXPECT_TRUE(waiting.Join().value().ok());
}

TEST(SupervisorTest, AKeeperHasOneChildAtATimeAndIsUsedAgain) {
  const Context context(StartMethod::kForkServer);
  const int keeper = context.Call(ParentPid).value();
  EXPECT_EQ(context.Call(ParentPid).value(), keeper);
  Ends go = MakePipe();
  Process waiting = context.Start(WaitForEnd, go.reader).value();
  const int other = context.Call(ParentPid).value();
  EXPECT_NE(other, keeper);
  EXPECT_EQ(context.Call(ParentPid).value(), other);
  go.writer.reset();
  EXPECT_TRUE(waiting.Join().value().ok());
}

TEST(SupervisorTest, AKilledKeeperTakesItsChildWithItWhichIsLostAndNoOther) {
  const Context context(StartMethod::kForkServer);
  Ends go = MakePipe();
  Process other = context.Start(WaitForEnd, go.reader).value();
  for (int i = 0; i < 10; ++i) {
    Process killing = context.Start(KillParent).value();
    EXPECT_TRUE(std::holds_alternative<Lost>(killing.Join().value().ending));
  }
  EXPECT_TRUE(other.IsAlive());
  EXPECT_GT(context.Call(ParentPid).value(), 0);
  go.writer.reset();
  EXPECT_TRUE(other.Join().value().ok());
}

TEST(SupervisorTest, WhatAChildLeavesWhoseKeeperIsKilledEndsToo) {
  const Context context(StartMethod::kForkServer);
  for (int i = 0; i < 20; ++i) {
    Ends pipe = MakePipe();
    Process child = context.Start(LeaveDaemonAndKillKeeper, pipe.writer).value();
    pipe.writer.reset();
    EXPECT_TRUE(std::holds_alternative<Lost>(child.Join().value().ending));
    pollfd polled = {pipe.reader.get(), POLLIN, 0};
    ASSERT_EQ(poll(&polled, 1, 20'000), 1) << i;
  }
}

TEST(SupervisorTest, AChildThatStopsItsKeeperIsReportedAllTheSame) {
  const Context context(StartMethod::kForkServer);
  Process stopping = context.Start(StopKeeper).value();
  EXPECT_TRUE(stopping.Join(absl::Seconds(20)).value().ok());
  EXPECT_GT(context.Call(ParentPid).value(), 0);
}

TEST(SupervisorTest, AKilledSupervisorTakesItsChildWithItWhichIsLostAndIsStartedAgain) {
  const Context context(StartMethod::kForkServer);
  Ends go = MakePipe();
  Process waiting = context.Start(WaitForEnd, go.reader).value();
  const UniqueFd child(static_cast<int>(syscall(SYS_pidfd_open, waiting.pid(), 0)));
  const int supervisor = context.Call(SupervisorAbove).value();
  const UniqueFd its(static_cast<int>(syscall(SYS_pidfd_open, supervisor, 0)));
  ASSERT_EQ(kill(supervisor, SIGKILL), 0);
  pollfd ended = {its.get(), POLLIN, 0};
  ASSERT_EQ(poll(&ended, 1, 20'000), 1);
  EXPECT_TRUE(std::holds_alternative<Lost>(waiting.Join().value().ending));
  pollfd polled = {child.get(), POLLIN, 0};
  EXPECT_EQ(poll(&polled, 1, 20'000), 1);
  const int next = context.Call(SupervisorAbove).value();
  EXPECT_GT(next, 0);
  EXPECT_NE(next, supervisor);
}

TEST(SupervisorTest, AChildThatStopsTheSupervisorIsReportedAllTheSame) {
  const Context context(StartMethod::kForkServer);
  Process stopping = context.Start(StopSupervisor).value();
  EXPECT_TRUE(stopping.Join(absl::Seconds(20)).value().ok());
  EXPECT_GT(context.Call(ParentPid).value(), 0);
}

}  // namespace
}  // namespace brood
