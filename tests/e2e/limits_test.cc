// Each limit stops the program that is made to break it, and the outcome names the limit.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

// An argument that no other process of this machine has: the same tests may run for another user meanwhile.
std::string Token() { return absl::StrCat("token-limits-", getpid()); }

// The limits that the policy brings by itself take the strongest form that the machine has, so these tests hold for
// root and for others alike.
class LimitsTest : public testing::TestWithParam<std::string> {
 protected:
  static Ended RunLimited(std::vector<std::string> argv, const std::function<void(Limits&)>& limit) {
    return RunProgram(GetParam(), std::move(argv), {.policy = [&](Policy& policy) { limit(policy.default_limits); }});
  }
};

INSTANTIATE_TEST_SUITE_P(Policies, LimitsTest, testing::Values("strict", "default"),
                         [](const auto& param) { return param.param; });

TEST_P(LimitsTest, AForkBombStopsAtTheLimit) {
  // Bounded, so that a limit that does not hold costs 200 processes only.
  const Ended run = RunLimited({"fork_bomb", "200", Token()}, [](Limits& limits) { limits.processes = 20; });
  EXPECT_FALSE(SaysItWorked(run)) << run.Text();
  EXPECT_TRUE(absl::StrContains(run.out, "refused: fork")) << run.Text();
  EXPECT_TRUE(ProcessesNamed(Token()).empty());
}

TEST_P(LimitsTest, AForkBombIsToldOfInLimitsHitWhoeverLimitsIt) {
  const auto twenty = [](Limits& limits) { limits.processes = 20; };
  const Ended bomb = RunLimited({"fork_bomb", "200", Token()}, twenty);
  EXPECT_EQ(bomb.outcome.limits_hit, std::vector<Layer>{Layer::kProcesses}) << bomb.Text();
  const Ended modest = RunLimited({"fork_bomb", "10", Token()}, twenty);
  EXPECT_TRUE(modest.outcome.limits_hit.empty()) << modest.Text();
}

TEST_P(LimitsTest, ThreadsCountAsProcesses) {
  const Ended run = RunLimited({"many_threads", "200"}, [](Limits& limits) { limits.processes = 20; });
  EXPECT_FALSE(SaysItWorked(run)) << run.Text();
  EXPECT_TRUE(absl::StrContains(run.out, "refused: start all threads: Resource temporarily unavailable")) << run.Text();
  int started = 0;
  ASSERT_EQ(sscanf(run.out.c_str(), "started: %d", &started), 1) << run.Text();
  EXPECT_GT(started, 0);
  EXPECT_LT(started, 20);
  const Ended few = RunLimited({"many_threads", "10"}, [](Limits& limits) { limits.processes = 20; });
  EXPECT_TRUE(SaysItWorked(few)) << few.Text();
}

TEST_P(LimitsTest, AMemoryBombIsAMemoryLimit) {
  const Ended run = RunLimited({"memory_bomb", "512"}, [](Limits& limits) { limits.memory_bytes = 64 << 20; });
  EXPECT_FALSE(SaysItWorked(run)) << run.Text();
  if (IsRoot()) {
    EXPECT_EQ(run.outcome.StatusWord(), "memory") << run.Text();
  }
}

TEST_P(LimitsTest, AMemoryBombSpreadOverProcessesIsAMemoryLimit) {
  // Each process takes less than the limit.
  const Ended run =
      RunLimited({"memory_bomb_spread", "12", "32"}, [](Limits& limits) { limits.memory_bytes = 96 << 20; });
  EXPECT_FALSE(SaysItWorked(run)) << run.Text();
  EXPECT_EQ(run.outcome.StatusWord(), "memory") << run.Text();
}

TEST_P(LimitsTest, PrivateTmpIsBounded) {
  const Ended run = RunLimited({"fills_tmp", "8", "24"}, [](Limits&) {});
  EXPECT_EQ(run.out, "refused: fill /tmp: No space left on device\n") << run.Text();
}

TEST_P(LimitsTest, EmptyFilesInPrivateTmpAreBounded) {
  // 64 MiB are 16,384 blocks.
  const Ended run = RunLimited({"fills_inodes", "40000"}, [](Limits&) {});
  EXPECT_TRUE(absl::StrContains(run.out, "refused: make files: No space left on device")) << run.Text();
}

TEST_P(LimitsTest, ASpinnerHitsTheCpuLimit) {
  const Ended run = RunLimited({"spins_forever"}, [](Limits& limits) { limits.cpu_time = absl::Seconds(1); });
  EXPECT_EQ(run.outcome.StatusWord(), "cpu") << run.Text();
}

// None of its processes uses as much as the limit, so that no limit of each process is it.
TEST_P(LimitsTest, CpuTimeIsThatOfTheWholeTree) {
  const Ended run = RunLimited({"spins_in_children", "40", "400"}, [](Limits& limits) { limits.cpu_time = absl::Seconds(1); });
  EXPECT_EQ(run.outcome.StatusWord(), "cpu") << run.Text();
  EXPECT_FALSE(absl::StrContains(run.out, "all done"));
}

TEST_P(LimitsTest, WhatIsToldOfATreeIsTheSumOfItsProcesses) {
  const Ended cpu = RunLimited({"spins_in_children", "4", "250"}, [](Limits&) {});
  EXPECT_EQ(cpu.out, "all done\n") << cpu.Text();
  EXPECT_GE(cpu.outcome.usage.cpu_time, absl::Milliseconds(950)) << cpu.outcome.usage.cpu_time;
  if (!IsRoot()) return;  // Memory is counted by a cgroup, or sampled.
  const Ended memory = RunLimited({"memory_bomb_spread", "4", "24"}, [](Limits& limits) { limits.memory_bytes = 400 << 20; });
  EXPECT_TRUE(SaysItWorked(memory)) << memory.Text();
  EXPECT_GE(memory.outcome.usage.memory_peak_bytes, uint64_t{90} << 20) << memory.Text();
  EXPECT_LT(memory.outcome.usage.max_rss_bytes, uint64_t{48} << 20) << memory.Text();
}

TEST_P(LimitsTest, NoMoreDescriptorsAreOpenThanTheLimitSays) {
  const auto script = [](LaunchOptions& options) {
    options.argv = {"/bin/sh", "-c", "i=3; while [ $i -lt 10 ]; do eval \"exec $i</dev/null\" || exit 9; i=$((i+1)); done"};
  };
  const auto with = [&](uint64_t limit) {
    return RunProgram(GetParam(), {"does_nothing"}, {.policy = [=](Policy& policy) { policy.limits.open_files = limit; }, .options = script});
  };
  EXPECT_TRUE(with(20).outcome.ok()) << with(20).Text();
  const Ended few = with(7);
  EXPECT_FALSE(few.outcome.ok()) << few.Text();
  EXPECT_EQ(few.outcome.StatusWord(), "failed") << few.Text();
  EXPECT_EQ(few.outcome.enforced.at(Layer::kOpenFiles), "RLIMIT_NOFILE");
}

TEST_P(LimitsTest, WhatATreeUsedIsToldThoughItWasKilled) {
  const Ended cpu = RunLimited({"spins_forever"}, [](Limits& limits) { limits.cpu_time = absl::Seconds(1); });
  EXPECT_GE(cpu.outcome.usage.cpu_time, absl::Milliseconds(900)) << cpu.outcome.usage.cpu_time;
  const Ended wall = RunLimited({"spins_forever"}, [](Limits& limits) { limits.wall_time = absl::Milliseconds(500); });
  // On a machine that is busy it gets a part of one processor only.
  EXPECT_GE(wall.outcome.usage.cpu_time, absl::Milliseconds(50)) << wall.outcome.usage.cpu_time;
  const Ended memory =
      RunLimited({"holds_memory", "32"}, [](Limits& limits) { limits.wall_time = absl::Milliseconds(700); });
  EXPECT_GE(memory.outcome.usage.max_rss_bytes, uint64_t{24} << 20) << memory.Text();
}

TEST_P(LimitsTest, ASpinnerHitsTheWallLimit) {
  const Ended run = RunLimited({"spins_forever"}, [](Limits& limits) { limits.wall_time = absl::Milliseconds(300); });
  EXPECT_EQ(run.outcome.StatusWord(), "timeout") << run.Text();
}

TEST_P(LimitsTest, NothingOutlivesTheWallLimit) {
  const auto limit = [](Limits& limits) { limits.wall_time = absl::Milliseconds(300); };
  for (const char* program : {"sleeps_forever", "stops_itself", "ignores_all_signals", "traps_term"}) {
    // A word of this test's own: others run the same programs at the same time.
    const std::string token = "outlives-" + std::to_string(getpid());
    const Ended run = RunLimited({program, token}, limit);
    EXPECT_EQ(run.outcome.StatusWord(), "timeout") << program << ": " << run.Text();
    EXPECT_LT(run.outcome.usage.wall_time, absl::Seconds(5)) << program;
    EXPECT_TRUE(ProcessesNamed(token).empty()) << program;
  }
  const Ended run = RunLimited({"stops_parent", "sandboxed"}, limit);
  EXPECT_EQ(run.outcome.StatusWord(), "timeout") << run.Text();
}

TEST_P(LimitsTest, AnOutputFloodHitsTheOutputLimit) {
  const Ended run = RunLimited({"writes_forever", "both"}, [](Limits& limits) { limits.output_bytes = 1 << 20; });
  EXPECT_EQ(run.outcome.StatusWord(), "output") << run.outcome.ToString();
  EXPECT_LE(run.out.size() + run.err.size(), size_t{1} << 20);
}

// Places that nobody reads from, and whose descriptions block: a pipe, a socket, a FIFO, a terminal.
class Unread {
 public:
  Unread() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    Add("pipe", ends[1]);
    kept_.emplace_back(ends[0]);
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    Add("socket", ends[1]);
    kept_.emplace_back(ends[0]);
    const std::string fifo = directory_.path() + "/fifo";
    EXPECT_EQ(mkfifo(fifo.c_str(), 0600), 0);
    kept_.emplace_back(open(fifo.c_str(), O_RDWR | O_CLOEXEC));
    Add("FIFO", open(fifo.c_str(), O_WRONLY | O_CLOEXEC));
    kept_.emplace_back(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    EXPECT_EQ(grantpt(kept_.back().get()), 0);
    EXPECT_EQ(unlockpt(kept_.back().get()), 0);
    Add("terminal", open(ptsname(kept_.back().get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  }
  const std::vector<std::pair<std::string, UniqueFd>>& places() const { return places_; }

 private:
  void Add(const char* name, int fd) {
    EXPECT_GE(fd, 0) << name;
    places_.emplace_back(name, fd);
  }
  TemporaryDirectory directory_;
  std::vector<UniqueFd> kept_;
  std::vector<std::pair<std::string, UniqueFd>> places_;
};

TEST_P(LimitsTest, AReaderThatDoesNotReadHoldsBackNoLimit) {
  const Unread unread;
  for (const auto& [name, fd] : unread.places()) {
    SCOPED_TRACE(name);
    Tweaks tweaks;
    tweaks.policy = [](Policy& policy) {
      policy.limits.output_bytes = uint64_t{1} << 40;
      policy.limits.wall_time = absl::Milliseconds(300);
    };
    tweaks.options = [out = fd.get()](LaunchOptions& options) { options.stdout_spec = Stdio::Fd(out); };
    const Ended run = RunProgram(GetParam(), {"writes_forever"}, tweaks);
    EXPECT_EQ(run.outcome.StatusWord(), "timeout") << run.outcome.ToString();
    EXPECT_TRUE(run.outcome.stdout_result.truncated);
    EXPECT_EQ(fcntl(fd.get(), F_GETFL) & O_NONBLOCK, 0) << "the caller's own description was changed";
  }
}

TEST_P(LimitsTest, AReaderThatDoesNotReadHoldsBackNoOutcomeBeyondTheWallLimit) {
  const Unread unread;
  for (const auto& [name, fd] : unread.places()) {
    SCOPED_TRACE(name);
    ASSERT_EQ(fcntl(fd.get(), F_SETFL, O_NONBLOCK), 0);
    const std::string block(4096, 'x');
    // A terminal's output moves on by itself for a moment, which makes room once more.
    pollfd room = {.fd = fd.get(), .events = POLLOUT, .revents = 0};
    while (poll(&room, 1, 100) == 1 && (write(fd.get(), block.data(), block.size()) > 0 || errno == EAGAIN)) {
    }
    ASSERT_EQ(fcntl(fd.get(), F_SETFL, 0), 0);
    Tweaks tweaks;
    tweaks.policy = [](Policy& policy) {
      policy.limits.output_bytes = uint64_t{1} << 40;
      policy.limits.wall_time = absl::Milliseconds(700);
    };
    tweaks.options = [out = fd.get()](LaunchOptions& options) { options.stdout_spec = Stdio::Fd(out); };
    const Ended run = RunProgram(GetParam(), {"prints_fds"}, tweaks);
    EXPECT_EQ(run.outcome.StatusWord(), "ok") << run.outcome.ToString();
    EXPECT_TRUE(run.outcome.stdout_result.truncated);
  }
}

TEST_P(LimitsTest, ABigFileIsStoppedAtTheFileSizeLimit) {
  const Ended run =
      RunLimited({"writes_big_file", "/tmp/big", "16"}, [](Limits& limits) { limits.file_size_bytes = 4 << 20; });
  EXPECT_FALSE(SaysItWorked(run)) << run.Text();
  EXPECT_EQ(run.outcome.exit_code(), -SIGXFSZ) << run.Text();
}

}  // namespace
}  // namespace brood
