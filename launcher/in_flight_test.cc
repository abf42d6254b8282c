// A user's descriptors that wait in sockets count for all its programs. Many of them keep nobody from launching.
#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/fd_message_child.h"
#include "gtest/gtest.h"
#include "launcher/process.h"

namespace brood {
namespace {

constexpr rlim_t kFew = 64;

// Whom the kernel does not count is root. unix(7), ETOOMANYREFS
bool BecomeNobody() {
  constexpr uid_t kNobody = 65534;
  return geteuid() != 0 || (setgroups(0, nullptr) == 0 && setresgid(kNobody, kNobody, kNobody) == 0 && setresuid(kNobody, kNobody, kNobody) == 0 &&
                             prctl(PR_SET_DUMPABLE, 1) == 0);
}

// More than kFew, in sockets that stay open.
bool FillSockets() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0) return false;
  const std::vector<int> many(2 * kFew, ends[0]);
  char byte = 0;
  const iovec part = {&byte, 1};
  return child::SendWithFds(ends[1], &part, 1, many.data(), many.size(), 0) == 1;
}

// What becomes of a launch by a user who has many under way, and may have `hard` open.
std::string LaunchWith(rlim_t hard, const char* policy) {
  int report[2];
  EXPECT_EQ(pipe2(report, O_CLOEXEC), 0);
  const pid_t launcher = fork();
  if (launcher == 0) {
    std::string text = "no user";
    const rlimit limit = {kFew, hard};
    if (BecomeNobody() && FillSockets() && setrlimit(RLIMIT_NOFILE, &limit) == 0) {
      LaunchOptions options;
      options.argv = {"sh", "-c", absl::StrCat("test $(ulimit -Sn) = ", kFew)};
      options.policy = CompilePolicy(BuiltinPolicy(policy).value()).value();
      options.stdin_spec = options.stdout_spec = options.stderr_spec = Stdio::Null();
      absl::StatusOr<Process> process = Process::Launch(options);
      text = process.ok() ? process->Join(absl::Seconds(30)).value().ToString() : std::string(process.status().message());
    }
    _exit(write(report[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  close(report[1]);
  char text[1024] = {};
  EXPECT_GE(read(report[0], text, sizeof(text) - 1), 0);
  close(report[0]);
  int status = 0;
  EXPECT_EQ(waitpid(launcher, &status, 0), launcher);
  EXPECT_EQ(status, 0);
  return text;
}

TEST(InFlightTest, ManyDescriptorsOfTheUsersHoldUpNoLaunch) {
  for (const char* policy : {"none", "strict"}) EXPECT_EQ(LaunchWith(4096, policy), "exited with code 0") << policy;
}

TEST(InFlightTest, WhoMayOpenFewIsToldWhy) {
  for (const char* policy : {"none", "strict"}) {
    const std::string told = LaunchWith(kFew, policy);
    EXPECT_TRUE(absl::StrContains(told, "ETOOMANYREFS")) << policy << ": " << told;
  }
}

}  // namespace
}  // namespace brood
