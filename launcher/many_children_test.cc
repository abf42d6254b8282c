// A thousand sandboxes that live at once, under one process with one thread.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "launcher/process.h"

namespace brood {
namespace {

constexpr int kChildren = 1000;
constexpr int kDescriptorsOfEach = 4;  // In the process that holds them.
constexpr int kOthers = 100;

int Count(const char* directory) {
  return static_cast<int>(std::distance(std::filesystem::directory_iterator(directory), std::filesystem::directory_iterator()));
}

// Strict children that wait for the end of a pipe, and then exit with codes from 0 to 99.
class Many {
 public:
  // Returns what is wrong.
  std::string Launch() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return "pipe";
    reader_.reset(ends[0]);
    writer_.reset(ends[1]);
    const std::string program = std::filesystem::absolute("tests/programs/bin/awaits_end");
    Policy policy = BuiltinPolicy("strict").value();
    policy.files.push_back({.source = program, .destination = "/awaits_end"});
    const absl::StatusOr<std::shared_ptr<const CompiledPolicy>> compiled = CompilePolicy(policy);
    if (!compiled.ok()) return compiled.status().ToString();
    LaunchOptions options;
    options.policy = *compiled;
    options.stdin_spec = Stdio::Fd(reader_.get());
    options.stdout_spec = options.stderr_spec = Stdio::Null();
    for (int i = 0; i < kChildren; ++i) {
      options.argv = {"/awaits_end", absl::StrCat(i % 100)};
      absl::StatusOr<Process> child = Process::Launch(options);
      if (!child.ok()) return absl::StrCat("with ", i, " live: ", child.status().message());
      children_.push_back(*std::move(child));
    }
    return "";
  }

  // All end at once; each is joined when its sentinel says so. Returns what is wrong.
  std::string EndAndJoin() {
    const UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
    for (uint32_t i = 0; i < children_.size(); ++i) {
      epoll_event event = {};
      event.events = EPOLLIN;
      event.data.u32 = i;
      if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, children_[i].sentinel(), &event) != 0) return "epoll_ctl";
    }
    writer_.reset();
    for (size_t joined = 0; joined < children_.size();) {
      epoll_event events[64];
      const int ready = epoll_wait(epoll.get(), events, 64, 30'000);
      if (ready <= 0) return absl::StrCat("only ", joined, " were told to have ended");
      for (int i = 0; i < ready; ++i) {
        const uint32_t index = events[i].data.u32;
        if (epoll_ctl(epoll.get(), EPOLL_CTL_DEL, children_[index].sentinel(), nullptr) != 0) return "epoll_ctl";
        const absl::StatusOr<Outcome> outcome = children_[index].Join(absl::ZeroDuration());
        if (!outcome.ok()) return outcome.status().ToString();
        if (outcome->exit_code() != index % 100) return absl::StrCat(index, ": ", outcome->ToString());
        ++joined;
      }
    }
    return "";
  }

  std::vector<Process>& children() { return children_; }

 private:
  UniqueFd reader_;
  UniqueFd writer_;
  std::vector<Process> children_;
};

class ManyChildrenTest : public testing::Test {
 protected:
  void SetUp() override {
    rlimit files = {};
    getrlimit(RLIMIT_NOFILE, &files);
    constexpr rlim_t kWanted = kChildren * kDescriptorsOfEach + kOthers;
    if (files.rlim_max < kWanted) GTEST_SKIP() << "needs " << kWanted << " open files, may have " << files.rlim_max;
    files.rlim_cur = kWanted;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  }
};

TEST_F(ManyChildrenTest, AThousandSandboxesLiveAtOnceAndOneThreadLearnsOfEachEnd) {
  Many many;
  const int before = Count("/proc/self/fd");
  ASSERT_EQ(many.Launch(), "");
  const int more = Count("/proc/self/fd") - before;
  EXPECT_LE(more, kChildren * kDescriptorsOfEach);
  RecordProperty("descriptors", more);
  EXPECT_EQ(Count("/proc/self/task"), 1);
  for (Process& child : many.children()) ASSERT_TRUE(child.IsAlive());
  EXPECT_EQ(many.EndAndJoin(), "");
}

TEST_F(ManyChildrenTest, AKilledOwnerLeavesNoneOfAThousandSandboxes) {
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);  // So that guardians whose owner has gone are ours to wait for.
  int report[2];
  ASSERT_EQ(pipe2(report, O_CLOEXEC), 0);
  const pid_t owner = fork();
  if (owner == 0) {
    Many many;
    const std::string wrong = many.Launch();
    const std::string text = wrong.empty() ? "all live" : wrong;
    if (write(report[1], text.data(), text.size()) < 0) _exit(1);
    while (true) pause();
  }
  close(report[1]);
  char text[300] = {};
  ASSERT_GT(read(report[0], text, sizeof(text) - 1), 0);
  ASSERT_EQ(std::string(text), "all live");
  ASSERT_EQ(kill(owner, SIGKILL), 0);
  // Guardians end once all of their tree has, and say by their status that they did.
  const absl::Time killed = absl::Now();
  alarm(60);
  int status = 0, waited = 0;
  while (waitpid(-1, &status, 0) > 0 || errno == EINTR) ++waited;
  alarm(0);
  RecordProperty("milliseconds", static_cast<int>(absl::ToInt64Milliseconds(absl::Now() - killed)));
  EXPECT_EQ(errno, ECHILD);
  EXPECT_EQ(waited, kChildren + 1);
}

}  // namespace
}  // namespace brood
