// What Landlock refuses besides the other layers: each attempt succeeds in the same policy without it.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "launcher/process.h"
#include "sandbox/machine.h"

namespace brood {
namespace {

std::string ReadAll(const UniqueFd& fd) {
  std::string text;
  char buffer[4096];
  ssize_t n;
  while ((n = pread(fd.get(), buffer, sizeof(buffer), static_cast<off_t>(text.size()))) > 0) {
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

constexpr int kGivenFd = 9;

class LandlockTest : public testing::Test {
 protected:
  void SetUp() override {
    if (ThisMachine().landlock_abi < 6) GTEST_SKIP() << "needs Landlock ABI 6, has " << ThisMachine().landlock_abi;
    char pattern[] = "/tmp/brood-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
    chmod(pattern, 0755);
    ASSERT_EQ(mkdir((directory_ + "/given").c_str(), 0755), 0);
    std::ofstream(directory_ + "/outside") << "outside";
    chmod((directory_ + "/outside").c_str(), 0666);
    std::ofstream(directory_ + "/given/inside") << "inside";
    policy_ = BuiltinPolicy("default").value();
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // What the Python program prints, or its errno.
  std::string Run(LandlockUse landlock, const std::string& statements, bool output_is_file = false) {
    policy_.landlock = landlock;
    absl::StatusOr<std::shared_ptr<const CompiledPolicy>> compiled = CompilePolicy(policy_);
    EXPECT_TRUE(compiled.ok()) << compiled.status();
    if (!compiled.ok()) return "";
    std::string script = "import os, socket, fcntl, errno, subprocess\ntry:\n";
    for (const std::string_view line : absl::StrSplit(statements, '\n')) absl::StrAppend(&script, "  ", line, "\n");
    absl::StrAppend(&script, "except OSError as e:\n  print(errno.errorcode[e.errno], end='')\n");
    const UniqueFd given(open((directory_ + "/given").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const UniqueFd out(open((directory_ + "/out").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    fchmod(out.get(), 0666);
    LaunchOptions options;
    options.argv = {"python3", "-c", script};
    options.policy = *compiled;
    options.stdin_spec = Stdio::Null();
    options.stdout_spec = output_is_file ? Stdio::Fd(out.get()) : Stdio::Capture();
    options.stderr_spec = Stdio::Capture();
    options.inherited.push_back({.fd = given.get(), .child_fd = kGivenFd});
    absl::StatusOr<Process> process = Process::Launch(options);
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return "";
    absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(60));
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(ReadAll(process->TakeStderr()), "");
    if (outcome.ok()) {
      EXPECT_EQ(outcome->enforced.count(Layer::kLandlock), landlock == LandlockUse::kNone ? 0u : 1u);
    }
    return ReadAll(output_is_file ? UniqueFd(open((directory_ + "/out").c_str(), O_RDONLY)) : process->TakeStdout());
  }

  void ExpectRefused(const std::string& statements, const std::string& done, const std::string& refused) {
    EXPECT_EQ(Run(LandlockUse::kNone, statements), done) << "without";
    EXPECT_EQ(Run(LandlockUse::kRequired, statements), refused) << "with";
  }

  std::string directory_;
  Policy policy_;
};

// Mounts do not hold here: a directory of the host that was handed in leads to all of the host, by "..".
TEST_F(LandlockTest, NothingAboveADirectoryThatWasGivenCanBeOpened) {
  ExpectRefused("print(os.read(os.open('../outside', os.O_RDONLY, dir_fd=9), 99).decode(), end='')", "outside", "EACCES");
  ExpectRefused("print(len(os.listdir(os.open('..', os.O_RDONLY, dir_fd=9))), end='')", "3", "EACCES");
}

TEST_F(LandlockTest, NothingAboveADirectoryThatWasGivenCanBeTruncatedOrExecuted) {
  ExpectRefused("os.truncate('/proc/self/fd/9/../outside', 0)\nprint('truncated', end='')", "truncated", "EACCES");
  EXPECT_EQ(std::filesystem::file_size(directory_ + "/outside"), 0u);
  std::filesystem::copy_file("/bin/true", directory_ + "/program");
  ExpectRefused("subprocess.run(['/proc/self/fd/9/../program'], close_fds=False)\nprint('ran', end='')", "ran", "EACCES");
}

TEST_F(LandlockTest, TheDirectoryThatWasGivenCanBeRead) {
  EXPECT_EQ(Run(LandlockUse::kRequired, "print(os.read(os.open('inside', os.O_RDONLY, dir_fd=9), 99).decode(), end='')"), "inside");
}

TEST_F(LandlockTest, ADeviceIsNotControlled) {
  // RNDGETENTCNT
  ExpectRefused("fcntl.ioctl(os.open('/dev/urandom', os.O_RDONLY), 0x80045200, bytes(4))\nprint('done', end='')", "done", "EACCES");
}

TEST_F(LandlockTest, TcpIsNotBoundOrConnectedWhereAPolicyHasNoNetwork) {
  policy_.network = {.mode = NetworkMode::kNone, .to = {}};
  ExpectRefused("socket.socket().bind(('0.0.0.0', 0))\nprint('bound', end='')", "bound", "EACCES");
  ExpectRefused("socket.socket().connect(('192.0.2.1', 9))", "ENETUNREACH", "EACCES");
}

TEST_F(LandlockTest, TcpOfAnOwnLoopbackGoesOn) {
  EXPECT_EQ(Run(LandlockUse::kRequired,
                "s = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\n"
                "c = socket.create_connection(s.getsockname())\nprint('connected', end='')"),
            "connected");
}

// networked refuses such sockets by its filter; a policy that allows them is held by Landlock still.
TEST_F(LandlockTest, AnAbstractSocketOfTheHostIsNotReached) {
  policy_ = BuiltinPolicy("networked").value();
  policy_.syscalls.push_back({.names = {"socket"}, .layer = 9});
  const UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {.sun_family = AF_UNIX};
  const std::string name = absl::StrCat("brood-landlock-test-", getpid());
  memcpy(address.sun_path + 1, name.data(), name.size());
  const socklen_t size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 8), 0);
  ExpectRefused(absl::StrCat("socket.socket(socket.AF_UNIX).connect('\\0", name, "')\nprint('connected', end='')"), "connected",
                "EPERM");
}

// Where there is no pid namespace the init is in sight, and has the child's id.
TEST_F(LandlockTest, ASignalDoesNotReachTheInitAndReachesOwnChildren) {
  policy_.namespaces.erase(Layer::kPid);
  policy_.minimal_system = false;
  ExpectRefused("os.kill(os.getppid(), 0)\nprint('sent', end='')", "sent", "EPERM");
  EXPECT_EQ(Run(LandlockUse::kRequired,
                "c = os.fork()\nif c == 0:\n  while True: os.read(0, 1) and None\nos.kill(c, 15)\nprint(os.waitpid(c, 0)[1], end='')"),
            "15");
}

TEST_F(LandlockTest, WhatIsWritableStaysSo) {
  policy_.files.push_back({.source = directory_ + "/given", .destination = "/rw", .access = FileRule::Access::kReadWrite});
  EXPECT_EQ(Run(LandlockUse::kRequired,
                "for d in ('/rw', '/tmp', '/dev/shm'):\n"
                "  os.makedirs(d + '/a'); os.mkdir(d + '/b'); os.symlink('x', d + '/l'); os.mkfifo(d + '/f')\n"
                "  open(d + '/a/x', 'w').write('text'); os.rename(d + '/a/x', d + '/b/y'); os.link(d + '/b/y', d + '/z')\n"
                "  os.truncate(d + '/z', 2); os.unlink(d + '/z'); os.rmdir(d + '/a')\n"
                "open('/dev/null', 'w').write('x'); open('/dev/null', 'a').write('x')\nprint('all', end='')"),
            "all");
}

TEST_F(LandlockTest, StreamsCanBeOpenedAgain) {
  EXPECT_EQ(Run(LandlockUse::kRequired, "open('/dev/stdin').read()\nprint('read', end='')"), "read");
  EXPECT_EQ(Run(LandlockUse::kRequired, "open('/dev/stdout', 'w').write('again')", true), "again");
}

TEST_F(LandlockTest, TheOutcomeSaysWhichAbi) {
  policy_.landlock = LandlockUse::kRequired;
  const auto compiled = CompilePolicy(policy_);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  LaunchOptions options;
  options.argv = {"true"};
  options.policy = *compiled;
  absl::StatusOr<Process> process = Process::Launch(options);
  ASSERT_TRUE(process.ok()) << process.status();
  const Outcome outcome = process->Join(absl::Seconds(60)).value();
  ASSERT_TRUE(outcome.ok()) << outcome.ToString();
  const std::string& told = outcome.enforced.at(Layer::kLandlock);
  EXPECT_TRUE(absl::StartsWith(told, absl::StrCat("Landlock ABI ", ThisMachine().landlock_abi, ": files, "))) << told;
}

TEST(LandlockPolicyTest, WhatIsRequiredNeedsNoNewPrivs) {
  Policy policy = BuiltinPolicy("none").value();
  policy.landlock = LandlockUse::kRequired;
  EXPECT_EQ(CompilePolicy(policy).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace brood
