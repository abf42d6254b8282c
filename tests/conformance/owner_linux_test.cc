// A child does not outlive its owner, however and whenever that ends (test_parent_process, gh-80180). CPython leaves all
// children of a killed parent running. On Windows: launcher/owner_windows_test.cc.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "base/status.h"
#include "bootstrap/current_process.h"
#include "ipc/connection.h"
#include "ipc/pipe.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

// Says that it runs and goes on for ever; ends by SIGKILL only.
void HoldOn(const UniqueFd& pipe) {
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  WriteByte(pipe, 'r');
  Sleep();
}
BROOD_TARGET(HoldOn);

// Likewise, with descendants that have left its session.
void HoldOnWithDescendants(const UniqueFd& pipe) {
  for (int i = 0; i < 2; ++i) {
    if (fork() == 0) {
      setsid();
      HoldOn(pipe);
    }
  }
  HoldOn(pipe);
}
BROOD_TARGET(HoldOnWithDescendants);

// A child whose parent has ended is ended itself, so that somebody else has to look at its sentinel.
absl::Status HandOutSentinel(Connection connection) {
  if (!ParentProcess()->IsAlive()) return absl::InternalError("the parent is not alive");
  BROOD_RETURN_IF_ERROR(connection.SendHandle(ParentProcess()->sentinel()));
  Sleep();
  return absl::OkStatus();
}
BROOD_TARGET(HandOutSentinel);

class OwnerTest : public ConformanceTest {
 protected:
  void SetUp() override {
    ConformanceTest::SetUp();
    // Whoever loses its parent becomes our child, so that nothing that is left can hide.
    ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    before_ = ChildrenOfThisProcess();
  }

  // A process of its own that runs `body` and then sleeps.
  pid_t StartOwner(const std::function<void()>& body) {
    const pid_t pid = fork();
    if (pid == 0) {
      body();
      Sleep();
    }
    return pid;
  }

  // Kills it, and waits until nothing of its tree is left.
  void KillAndExpectNothingLeft(pid_t owner) {
    ASSERT_EQ(kill(owner, SIGKILL), 0);
    ASSERT_EQ(waitpid(owner, nullptr, 0), owner);
    const absl::Time deadline = absl::Now() + absl::Milliseconds(kPatienceMs);
    while (true) {
      std::set<pid_t> left = ChildrenOfThisProcess();
      for (const pid_t pid : before_) left.erase(pid);
      if (left.empty()) return;
      for (const pid_t pid : left) waitpid(pid, nullptr, WNOHANG | __WALL);
      if (absl::Now() > deadline) {
        for (const pid_t pid : left) kill(pid, SIGKILL);
        FAIL() << left.size() << " processes are left";
      }
      absl::SleepFor(absl::Milliseconds(2));
    }
  }

 private:
  std::set<pid_t> before_;
};
BROOD_FOR_EACH_START_METHOD(OwnerTest);

TEST_P(OwnerTest, AKilledOwnerLeavesNoChild) {
  RawPipe pipe;
  const pid_t owner = StartOwner([&] {
    for (const bool daemon : {false, true}) new Process(context_.Start({.daemon = daemon}, HoldOn, pipe.writer).value());
  });
  pipe.writer.reset();
  char byte = 0;
  for (int i = 0; i < 2; ++i) ASSERT_EQ(read(pipe.reader.get(), &byte, 1), 1);
  KillAndExpectNothingLeft(owner);
  EXPECT_TRUE(EndsWithinPatience(pipe.reader.get()));
}

TEST_P(OwnerTest, AKilledOwnerLeavesNoGrandchild) {
  RawPipe pipe;
  const pid_t owner = StartOwner([&] { new Process(context_.Start(HoldOnWithDescendants, pipe.writer).value()); });
  pipe.writer.reset();
  char byte = 0;
  for (int i = 0; i < 3; ++i) ASSERT_EQ(read(pipe.reader.get(), &byte, 1), 1);
  KillAndExpectNothingLeft(owner);
  EXPECT_TRUE(EndsWithinPatience(pipe.reader.get()));
}

// The moment moves from the first step of a start to after its end; the pauses sample it and synchronise nothing.
TEST_P(OwnerTest, AnOwnerThatIsKilledDuringAStartLeavesNoChild) {
  for (int i = 0; i < 24; ++i) {
    RawPipe pipe;
    const pid_t owner = StartOwner([&] {
      WriteByte(pipe.writer, 'o');
      while (true) new Process(context_.Start(HoldOn, pipe.writer).value());
    });
    pipe.writer.reset();
    char byte = 0;
    ASSERT_EQ(read(pipe.reader.get(), &byte, 1), 1);
    usleep(static_cast<useconds_t>(i * 250));
    KillAndExpectNothingLeft(owner);
    EXPECT_TRUE(EndsWithinPatience(pipe.reader.get())) << i;
  }
}

TEST_P(OwnerTest, AnOwnerThatIsKilledWhileItJoinsLeavesNoChild) {
  RawPipe pipe;
  const pid_t owner = StartOwner([&] { (void)context_.Start(HoldOn, pipe.writer)->Join(); });
  pipe.writer.reset();
  char byte = 0;
  ASSERT_EQ(read(pipe.reader.get(), &byte, 1), 1);
  KillAndExpectNothingLeft(owner);
  EXPECT_TRUE(EndsWithinPatience(pipe.reader.get()));
}

TEST_P(OwnerTest, AParentsSentinelIsReadableFromItsEndOn) {
  auto [mine, childs] = Pipe().value();
  const pid_t owner = StartOwner([&] { new Process(context_.Start(HandOutSentinel, childs).value()); });
  childs.Close();
  const absl::StatusOr<UniqueFd> sentinel = mine.ReceiveHandle({.timeout = absl::Milliseconds(kPatienceMs)});
  ASSERT_TRUE(sentinel.ok()) << sentinel.status();
  EXPECT_FALSE(IsReadable(sentinel->get()));
  KillAndExpectNothingLeft(owner);
  EXPECT_TRUE(IsReadable(sentinel->get(), kPatienceMs));
}

// A bare fork has a copy of everything, the lifeline too, and may live for long.
TEST_P(OwnerTest, DroppingARunningChildEndsItThoughAForkOfTheProcessLives) {
  RawPipe pipe;
  std::optional<Process> process = context_.Start(HoldOn, pipe.writer).value();
  pipe.writer.reset();
  const pid_t copy = fork();
  if (copy == 0) {
    pause();
    _exit(1);
  }
  std::thread drops([&] { process.reset(); });
  EXPECT_TRUE(EndsWithinPatience(pipe.reader.get()));
  kill(copy, SIGKILL);
  EXPECT_EQ(waitpid(copy, nullptr, 0), copy);
  drops.join();
}

}  // namespace
}  // namespace brood
