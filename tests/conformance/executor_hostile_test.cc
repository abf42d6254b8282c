// Workers of an Executor that lie, write garbage, or close what they should not. Once for each start method.
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "launcher/executor.h"
#include "launcher/executor/protocol.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

using internal::JournalHeader;
using internal::PoolReply;
using testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Milliseconds(kPatienceMs);

int Square(int x) { return x * x; }
BROOD_TARGET(Square);

int Length(std::string text) { return static_cast<int>(text.size()); }
BROOD_TARGET(Length);

JournalHeader* Journal() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("brood-journal") == std::string::npos) continue;
    return reinterpret_cast<JournalHeader*>(std::stoull(line, nullptr, 16));
  }
  return nullptr;
}

// Its socket to the executor: the only one besides the set-up socket, which is 4.
int Socket() {
  for (int fd = 3; fd < 256; ++fd) {
    struct stat about = {};
    if (fd != 4 && fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode)) return fd;
  }
  return -1;
}

void ReplyTo(int socket, uint64_t task) {
  struct {
    PoolReply head;
    uint32_t size = 4;
    int value = 1;
  } reply;
  reply.head.kind = internal::PoolReplyKind::kResults;
  reply.head.task = task;
  reply.head.count = 1;
  reply.head.body_bytes = 8;
  (void)!write(socket, &reply, sizeof(reply.head) + 8);
}

// Answers this task, and the next one while that is still being sent: its number is easily guessed.
int AnswerBeforeReading() {
  const uint64_t own = Journal()->task.load();
  const int socket = Socket();
  ReplyTo(socket, own);
  for (int waiting = 0; waiting == 0;) ioctl(socket, FIONREAD, &waiting);
  ReplyTo(socket, own + 1);
  Sleep();
  return 0;
}
BROOD_TARGET(AnswerBeforeReading);

int WriteGarbage() {
  const std::string garbage(4096, '\xff');
  (void)!write(Socket(), garbage.data(), garbage.size());
  Sleep();
  return 0;
}
BROOD_TARGET(WriteGarbage);

int CutTheJournal() {
  std::ifstream maps("/proc/self/maps");
  for (int fd = 3; fd < 256; ++fd) {
    char path[64] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    if (readlink(link.c_str(), path, sizeof(path) - 1) > 0 && std::string(path).find("brood-journal") != std::string::npos) {
      (void)!ftruncate(fd, 0);
    }
  }
  _exit(7);
}
BROOD_TARGET(CutTheJournal);

// Says again and again that it has just begun.
int BeginForEver() {
  JournalHeader* const journal = Journal();
  while (true) {
    timespec now = {};
    clock_gettime(CLOCK_MONOTONIC, &now);
    journal->began_ns.store(static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec) - 5000000);
  }
}
BROOD_TARGET(BeginForEver);

void CloseSockets() {
  shutdown(Socket(), SHUT_RDWR);
  Sleep();
}
BROOD_TARGET(CloseSockets);

class ExecutorHostileTest : public ConformanceTest {
 protected:
  Executor Make(ExecutorOptions options = {}) {
    options.workers = 1;
    options.grace = absl::ZeroDuration();
    return Executor::Create(context_, std::move(options)).value();
  }
};

BROOD_FOR_EACH_START_METHOD(ExecutorHostileTest);

TEST_P(ExecutorHostileTest, AnAnswerBeforeTheWholeQuestionFailsThatTaskAlone) {
  Executor executor = Make();
  ASSERT_EQ(executor.Submit(AnswerBeforeReading).Get(kPatience).value_or(0), 1);
  const absl::Status status = executor.Submit(Length, std::string(4 << 20, 'x')).Get(kPatience).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_EQ(executor.Submit(Square, 5).Get(kPatience).value_or(-1), 25);
}

TEST_P(ExecutorHostileTest, GarbageFailsTheTaskAndReplacesTheWorker) {
  Executor executor = Make();
  const absl::Status status = executor.Submit(WriteGarbage).Get(kPatience).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_EQ(executor.Submit(Square, 5).Get(kPatience).value_or(-1), 25);
}

TEST_P(ExecutorHostileTest, AJournalThatIsCutShortHarmsNobodyElse) {
  Executor executor = Make();
  const absl::Status status = executor.Submit(CutTheJournal).Get(kPatience).status();
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(executor.Submit(Square, 5).Get(kPatience).value_or(-1), 25);
}

TEST_P(ExecutorHostileTest, AWorkerThatLiesAboutTheTimeGainsNothing) {
  Executor executor = Make();
  const absl::Status status = executor.Submit({.timeout = absl::Milliseconds(50)}, BeginForEver).Get(kPatience).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
}

TEST_P(ExecutorHostileTest, WorkersThatCloseTheirSocketBeforeTheyAreReadyBreakTheExecutor) {
  Executor executor = Make({.initializer = Initializer(CloseSockets)});
  const absl::Status status = executor.Submit(Square, 5).Get(kPatience).status();
  EXPECT_THAT(status.message(), HasSubstr("the executor is broken"));
}

}  // namespace
}  // namespace brood
