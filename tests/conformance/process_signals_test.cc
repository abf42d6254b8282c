// What of Process is about signals, and about who catches them.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "bootstrap/finalizer.h"
#include "launcher/context.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

// Says 'd' when it is terminated, and has `held` until then.
void SayWhenTerminated(const UniqueFd& pipe, const UniqueFd& /*held*/) {
  sigset_t terminated;
  sigemptyset(&terminated);
  sigaddset(&terminated, SIGTERM);
  sigprocmask(SIG_BLOCK, &terminated, nullptr);
  WriteByte(pipe, 'r');
  int number = 0;
  sigwait(&terminated, &number);
  WriteByte(pipe, 'd');
}
BROOD_TARGET(SayWhenTerminated);

void SayAtTheEndOf(const UniqueFd& pipe, const UniqueFd& other) {
  WaitForEnd(other);
  WriteByte(pipe, 'c');
}
BROOD_TARGET(SayAtTheEndOf);

// Leaves children behind that are neither joined nor destroyed before its end: the order in which all end is written
// to `pipe`. The one that is no daemon ends after the daemon only.
void LeaveChildren(int method, const UniqueFd& pipe, const UniqueFd& may_end) {
  const Context context(static_cast<StartMethod>(method));
  const auto number = std::make_shared<UniqueFd>(Duplicate(pipe.get()));
  AddFinalizer([number] { WriteByte(*number, 'b'); }, {.priority = 1});
  AddFinalizer([number] { WriteByte(*number, 'e'); }, {.priority = -1});
  RawPipe held;
  new Process(context.Start({.daemon = true}, SayWhenTerminated, pipe, held.writer).value());
  new Process(context.Start(SayAtTheEndOf, pipe, held.reader).value());
  WaitForEnd(may_end);
}
BROOD_TARGET(LeaveChildren);

using ProcessTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(ProcessTest);

void StopAndWait(pid_t pid) {
  ASSERT_EQ(kill(pid, SIGSTOP), 0);
  for (int waited = 0; StateOf(pid) != 'T'; ++waited) {
    ASSERT_LT(waited, kPatienceMs) << "not stopped: " << StateOf(pid);
    poll(nullptr, 0, 1);
  }
}

TEST_P(ProcessTest, AStoppedProcessIsKilled) {
  Process process = StartWaiting();
  StopAndWait(process.pid());
  ASSERT_EQ(process.Kill(), absl::OkStatus());
  ASSERT_TRUE(process.Join(absl::Milliseconds(kPatienceMs)).ok());
  EXPECT_EQ(process.exit_code(), -SIGKILL);
}

// Its target may do that, where nothing isolates the one from the other.
TEST_P(ProcessTest, AProcessWhoseGuardianIsStoppedIsKilled) {
  Process process = StartWaiting();
  const bool served = GetParam() == StartMethod::kForkServer;
  const pid_t guardian = NearestAbove(process.pid(), served ? "brood-keeper" : "brood-guardian");
  ASSERT_GT(guardian, 0);
  StopAndWait(guardian);
  ASSERT_EQ(process.Kill(), absl::OkStatus());
  ASSERT_TRUE(process.Join(absl::Milliseconds(kPatienceMs)).ok());
  EXPECT_EQ(process.exit_code(), -SIGKILL);
}

TEST_P(ProcessTest, AtTheEndFinalizersRunThenDaemonsAreTerminatedAndOthersJoined) {
  RawPipe pipe, may_end;
  Process process = context_.Start(LeaveChildren, method(), pipe.writer, may_end.reader).value();
  pipe.writer.reset();
  char byte = 0;
  ASSERT_EQ(read(pipe.reader.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'r');  // The daemon runs.
  may_end.writer.reset();
  EXPECT_EQ(ReadToEnd(pipe.reader.get()), "bdce");
  EXPECT_EQ(process.Result<void>(), absl::OkStatus());
}

}  // namespace
}  // namespace brood
