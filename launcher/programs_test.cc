// Programs that are joined by pipes.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "launcher/programs.h"

namespace brood {
namespace {

std::string Content(const UniqueFd& file) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; file.valid() && (n = read(file.get(), buffer, sizeof(buffer))) > 0;) text.append(buffer, static_cast<size_t>(n));
  return text;
}

int OpenDescriptors() {
  int count = 0;
  for (int fd = 0; fd < 256; ++fd) count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

class ProgramsTest : public testing::TestWithParam<const char*> {
 protected:
  static LaunchOptions Shell(const std::string& script, absl::Duration wall_time = absl::Seconds(60), uint64_t output_bytes = uint64_t{16} << 20) {
    Policy policy = BuiltinPolicy(GetParam()).value();
    policy.limits.wall_time = wall_time;
    policy.limits.output_bytes = output_bytes;
    if (GetParam() != std::string_view("none")) policy.allow_weaker = {Layer::kMemory, Layer::kProcesses};
    return {.argv = {"sh", "-c", script}, .stdin_spec = Stdio::Null(), .stdout_spec = Stdio::Capture(), .stderr_spec = Stdio::Capture(), .policy = CompilePolicy(policy).value()};
  }

  static std::vector<ProgramEnded> RunAll(std::vector<LaunchOptions> programs, const std::vector<ProgramPipe>& pipes, StopAll stop = StopAll::kOnLimit) {
    absl::StatusOr<Programs> group = Programs::Launch(std::move(programs), pipes, stop);
    if (!group.ok()) {
      ADD_FAILURE() << group.status();
      return {};
    }
    absl::StatusOr<std::vector<ProgramEnded>> ended = group->Join(absl::Seconds(60));
    if (!ended.ok()) ADD_FAILURE() << ended.status();
    return ended.ok() ? *std::move(ended) : std::vector<ProgramEnded>();
  }

  static constexpr ProgramPipe kForth = {.from = {0, 1}, .to = {1, 0}};
  static constexpr ProgramPipe kBack = {.from = {1, 1}, .to = {0, 0}};
};

INSTANTIATE_TEST_SUITE_P(Policies, ProgramsTest, testing::Values("strict", "none"), [](const auto& param) { return std::string(param.param); });

TEST_P(ProgramsTest, APipelineEndsWithTheEndOfItsInput) {
  const auto ended = RunAll({Shell("seq 1 20000"), Shell("sed s/^/x/"), Shell("wc -l; exit 3")}, {kForth, {.from = {1, 1}, .to = {2, 0}}});
  ASSERT_EQ(ended.size(), 3u);
  EXPECT_EQ(ended[0].outcome.exit_code(), 0);
  EXPECT_EQ(ended[1].outcome.exit_code(), 0);
  EXPECT_EQ(ended[2].outcome.exit_code(), 3);
  EXPECT_EQ(Content(ended[2].stdout_file), "20000\n");
  EXPECT_EQ(ended[0].outcome.stdout_result.bytes, 108894u);
}

TEST_P(ProgramsTest, TwoTalkBothWaysAndWhatTheySaidIsKeptUpToABound) {
  ProgramPipe forth = kForth;
  ProgramPipe back = kBack;
  forth.keep_bytes = 1000;
  back.keep_bytes = 6;
  // One asks for numbers and is answered; its end is the other's end of input.
  const auto ended = RunAll({Shell("for i in 1 2 3; do echo $i; read -r x; test $x = $((i * i)) || exit 9; done"), Shell("while read -r x; do echo $((x * x)); done; exit 2")}, {forth, back});
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_EQ(ended[0].outcome.exit_code(), 0) << ended[0].outcome.ToString();
  EXPECT_EQ(ended[1].outcome.exit_code(), 2) << ended[1].outcome.ToString();
  EXPECT_EQ(Content(ended[0].stdout_file), "1\n2\n3\n");
  EXPECT_EQ(Content(ended[1].stdout_file), "1\n4\n9\n");
  EXPECT_FALSE(ended[1].outcome.stdout_result.truncated);
}

TEST_P(ProgramsTest, AnEndOfOutputIsSeenThoughTheWriterGoesOn) {
  const auto ended = RunAll({Shell("echo question; exec >&-; read -r answer; test \"$answer\" = answer"), Shell("cat >/dev/null; echo answer")}, {kForth, kBack});
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_EQ(ended[0].outcome.exit_code(), 0) << ended[0].outcome.ToString();
}

TEST_P(ProgramsTest, AWriterWhoseReaderHasEndedGetsSigpipe) {
  const auto ended = RunAll({Shell("while :; do echo more; done"), Shell("read -r x")}, {kForth});
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_EQ(ended[0].outcome.exit_code(), -SIGPIPE);
  EXPECT_EQ(ended[1].outcome.exit_code(), 0);
}

TEST_P(ProgramsTest, ALimitOfOneEndsAllAndTheOthersSayWithWhom) {
  const auto ended = RunAll({Shell("sleep 1000"), Shell("sleep 1000", absl::Milliseconds(50)), Shell("sleep 1000")}, {});
  ASSERT_EQ(ended.size(), 3u);
  EXPECT_EQ(ended[1].outcome.StatusWord(), "timeout");
  EXPECT_EQ(ended[1].ended_with, std::nullopt);
  for (const size_t other : {0u, 2u}) {
    EXPECT_EQ(ended[other].outcome.exit_code(), -SIGKILL);
    EXPECT_EQ(ended[other].ended_with, 1u);
  }
}

TEST_P(ProgramsTest, WhichEndIsThatOfAllIsTheCallersToSay) {
  const auto failed = RunAll({Shell("exit 1"), Shell("sleep 1000")}, {}, StopAll::kOnFailure);
  ASSERT_EQ(failed.size(), 2u);
  EXPECT_EQ(failed[1].ended_with, 0u);
  const auto end = RunAll({Shell("exit 0"), Shell("sleep 1000")}, {}, StopAll::kOnEnd);
  ASSERT_EQ(end.size(), 2u);
  EXPECT_EQ(end[1].ended_with, 0u);
  const auto never = RunAll({Shell("sleep 1000", absl::Milliseconds(50)), Shell("sleep 0.2; exit 5")}, {}, StopAll::kNever);
  ASSERT_EQ(never.size(), 2u);
  EXPECT_EQ(never[1].outcome.exit_code(), 5);
}

TEST_P(ProgramsTest, WhatGoesThroughAPipeCountsAsOutput) {
  const auto ended = RunAll({Shell("yes", absl::Seconds(60), 100'000), Shell("wc -c; sleep 1000")}, {kForth});
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_EQ(ended[0].outcome.StatusWord(), "output");
  EXPECT_EQ(ended[1].ended_with, 0u);
}

TEST_P(ProgramsTest, AProgramThatDoesNotExistIsItsOwnOutcomeAndEndsTheOthers) {
  LaunchOptions missing = Shell("");
  missing.argv = {"/no/such/program"};
  const auto ended = RunAll({missing, Shell("cat; sleep 1000")}, {kForth});
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_EQ(ended[0].outcome.StatusWord(), "setup_failed");
  EXPECT_EQ(ended[1].ended_with, 0u);
}

TEST_P(ProgramsTest, OtherDescriptorsAreJoinedTooAndNobodyHasAnothers) {
  const auto ended = RunAll({Shell("echo by seven >&7; exec 7>&-; cat /dev/null"), Shell("cat <&5; for fd in 3 4 6 7 8 9; do (: <&$fd) 2>/dev/null && echo has $fd; done; exit 0")},
                            {{.from = {0, 7}, .to = {1, 5}}});
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_EQ(Content(ended[1].stdout_file), "by seven\n");
}

TEST_P(ProgramsTest, NothingIsLeft) {
  (void)RunAll({Shell("echo a"), Shell("cat")}, {kForth, kBack});
  const int before = OpenDescriptors();
  for (int i = 0; i < 10; ++i) (void)RunAll({Shell("echo a"), Shell("cat")}, {kForth, kBack});
  {
    absl::StatusOr<Programs> dropped = Programs::Launch({Shell("sleep 1000"), Shell("cat")}, {kForth});
    ASSERT_TRUE(dropped.ok()) << dropped.status();
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(ProgramsRequestTest, APipeThatCannotBeIsNamed) {
  const LaunchOptions program = {.argv = {"true"}};
  const struct {
    ProgramPipe pipe;
    const char* message;
  } cases[] = {
      {{.from = {2, 1}, .to = {1, 0}}, "pipe 1: from: expected a program from 0 to 1, got 2"},
      {{.from = {0, 0}, .to = {1, 0}}, "pipe 1: from: expected stdout, stderr or a descriptor from 3 on, got 0"},
      {{.from = {0, 1}, .to = {1, 1}}, "pipe 1: to: expected stdin or a descriptor from 3 on, got 1"},
      {{.from = {0, 2}, .to = {1, 0}}, "pipe 1: descriptor 0 of program 1 has a pipe already"},
      {{.from = {0, 3}, .to = {1, 4}, .keep_bytes = 1}, "pipe 1: keep: of stdout and stderr only"},
  };
  for (const auto& [pipe, message] : cases) {
    EXPECT_EQ(Programs::Launch({program, program}, {{.from = {0, 1}, .to = {1, 0}}, pipe}).status().message(), message);
  }
  EXPECT_EQ(Programs::Launch({}, {}).status().message(), "programs: expected at least one");
  EXPECT_EQ(Programs::Launch({{}}, {}).status().message(), "program 0: argv: must name a program");
}

}  // namespace
}  // namespace brood
