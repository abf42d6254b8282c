// What a launch does with the descriptors and paths that it is given, where they are not as one would wish.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "launcher/process.h"

namespace brood {
namespace {

class GivenDescriptorsTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/brood-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  static LaunchOptions Cat() {
    LaunchOptions options;
    options.argv = {"cat"};
    options.policy = CompilePolicy(BuiltinPolicy(GetParam()).value()).value();
    options.stdin_spec = Stdio::Null();
    options.stdout_spec = Stdio::Capture();
    return options;
  }

  std::string directory_;
};

INSTANTIATE_TEST_SUITE_P(Policies, GivenDescriptorsTest, testing::Values("none", "default", "strict"),
                         [](const auto& param) { return param.param; });

TEST_P(GivenDescriptorsTest, AFifoAsThePathOfAStreamIsAnErrorAndDoesNotBlock) {
  const std::string fifo = directory_ + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  alarm(30);  // A launch that blocks ends this test.
  for (Stdio LaunchOptions::*stream : {&LaunchOptions::stdin_spec, &LaunchOptions::stdout_spec, &LaunchOptions::stderr_spec}) {
    LaunchOptions options = Cat();
    options.*stream = Stdio::Path(fifo);
    const absl::Status status = Process::Start(options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_NE(status.message().find(fifo + " is a FIFO"), std::string::npos) << status;
  }
  alarm(0);
}

TEST_P(GivenDescriptorsTest, OneDescriptorMayBeBothEndsOfTheChildAndWhereItsOutputGoes) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd ours(ends[0]);
  UniqueFd childs(ends[1]);
  Policy policy = BuiltinPolicy(GetParam()).value();
  policy.limits.output_bytes = 4096;  // So that what it writes is counted on its way.
  LaunchOptions options = Cat();
  options.policy = CompilePolicy(policy).value();
  options.stdin_spec = options.stdout_spec = Stdio::Fd(childs.get());
  ASSERT_EQ(write(ours.get(), "echo", 4), 4);
  ASSERT_EQ(shutdown(ours.get(), SHUT_WR), 0);
  absl::StatusOr<Process> process = Process::Start(options);
  ASSERT_TRUE(process.ok()) << process.status();
  childs.reset();
  EXPECT_EQ(process->Join()->exit_code(), 0);
  char answer[16] = {};
  EXPECT_EQ(read(ours.get(), answer, sizeof(answer)), 4);
  EXPECT_STREQ(answer, "echo");
}

TEST_P(GivenDescriptorsTest, APipeMayBeNamedByItsPathInProc) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reading(ends[0]);
  ASSERT_EQ(write(ends[1], "through", 7), 7);
  close(ends[1]);
  LaunchOptions options = Cat();
  options.stdin_spec = Stdio::Path(absl::StrCat("/proc/self/fd/", reading.get()));
  absl::StatusOr<Process> process = Process::Start(options);
  ASSERT_TRUE(process.ok()) << process.status();
  ASSERT_TRUE(process->Join(absl::Seconds(30)).ok());
  char text[16] = {};
  EXPECT_EQ(pread(process->TakeStdout().get(), text, sizeof(text), 0), 7);
  EXPECT_STREQ(text, "through");
}

// As a container's filter may do it.
bool RefuseCloseRange() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {static_cast<unsigned short>(std::size(code)), code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST_P(GivenDescriptorsTest, WhereDescriptorsCannotBeClosedNothingStarts) {
  EXPECT_EXIT(
      {
        if (!RefuseCloseRange()) _exit(2);
        absl::StatusOr<Process> process = Process::Launch(Cat());
        if (!process.ok()) _exit(3);
        const Outcome outcome = process->Join(absl::Seconds(30)).value();
        fprintf(stderr, "%s\n", outcome.ToString().c_str());
        const auto* failed = std::get_if<SetupFailed>(&outcome.ending);
        _exit(failed != nullptr && failed->step == "descriptors" && failed->error_number == EPERM ? 0 : 4);
      },
      testing::ExitedWithCode(0), "descriptors");
}

TEST_P(GivenDescriptorsTest, AllDescriptorsThatWereAskedForArriveOrNothingStarts) {
  const UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  LaunchOptions options = Cat();
  options.argv = {"sh", "-c", "ls /proc/self/fd | wc -l"};
  for (int number = 3; number < 1400; ++number) options.inherited.push_back({.fd = null.get(), .child_fd = number});
  absl::StatusOr<Process> process = Process::Launch(options);
  ASSERT_TRUE(process.ok()) << process.status();
  const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(30));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  const auto* failed = std::get_if<SetupFailed>(&outcome->ending);
  ASSERT_NE(failed, nullptr) << outcome->ToString();
  EXPECT_EQ(failed->error_number, E2BIG) << outcome->ToString();
}

}  // namespace
}  // namespace brood
