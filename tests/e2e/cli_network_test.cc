// `brood run --net`: what each mode reaches, of what is there to be reached.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

// A listener of this machine's.
class Listener {
 public:
  Listener() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(socket_.get(), 8), 0);
    EXPECT_EQ(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  int port() const { return port_; }
  // Whether somebody has connected since the last time.
  bool WasReached() const {
    pollfd ready = {.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, 0) != 1) return false;
    close(accept(socket_.get(), nullptr, nullptr));
    return true;
  }

 private:
  UniqueFd socket_;
  int port_ = 0;
};

class NetworkModesTest : public testing::TestWithParam<const char*> {
 protected:
  // "own", if it reaches a listener of its own over loopback, and "host", if it reaches this one's; what the interfaces are.
  std::string Reached(const std::string& mode, const Listener& listener) {
    const std::string script = absl::StrCat(
        "import socket\n"
        "def reaches(port):\n"
        "  s = socket.socket()\n"
        "  s.settimeout(20)\n"
        "  try: s.connect(('127.0.0.1', port))\n"
        "  except OSError: return False\n"
        "  return True\n"
        "said = []\n"
        "try:\n"
        "  own = socket.socket(); own.bind(('127.0.0.1', 0)); own.listen()\n"
        "  if reaches(own.getsockname()[1]): said.append('own')\n"
        "except OSError: pass\n"
        "try:\n"
        "  if reaches(", listener.port(), "): said.append('host')\n"
        "except OSError: pass\n"
        "print(' '.join(said))\n");
    const PlainRun run = Brood({"run", "--policy", GetParam(), "--net", mode, "--", "python3", "-c", script});
    EXPECT_TRUE(run.code == 0 || mode == "none") << run.err;
    return run.out;
  }
};
INSTANTIATE_TEST_SUITE_P(Policies, NetworkModesTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

TEST_P(NetworkModesTest, LoopbackIsTheOwnAlone) {
  const Listener listener;
  EXPECT_EQ(Reached("loopback", listener), "own\n");
  EXPECT_FALSE(listener.WasReached());
}

TEST_P(NetworkModesTest, HostIsThisMachines) {
  const Listener listener;
  EXPECT_EQ(Reached("host", listener), "own host\n");
  EXPECT_TRUE(listener.WasReached());
}

// `strict` has no socket either: the program is killed at the first.
TEST_P(NetworkModesTest, NoneReachesNotEvenItself) {
  const Listener listener;
  EXPECT_EQ(Reached("none", listener), std::string(GetParam()) == "strict" ? "" : "\n");
  EXPECT_FALSE(listener.WasReached());
}

// A network namespace of somebody else's, with a listener in it: as pasta or slirp4netns prepare them, without a way out.
class Prepared {
 public:
  Prepared() {
    constexpr char kScript[] =
        "import socket, fcntl, struct\n"
        "fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8914, struct.pack('16sh14x', b'lo', 0x41))\n"  // SIOCSIFFLAGS
        "l = socket.socket(); l.bind(('127.0.0.1', 0)); l.listen(); print(l.getsockname()[1], flush=True)\n"
        "while True:\n"
        "  c = l.accept()[0]; c.sendall(b'prepared'); c.close()\n";
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd out(ends[0]);
    UniqueFd in(ends[1]);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(in.get(), STDOUT_FILENO);
      execlp("unshare", "unshare", "--user", "--map-root-user", "--net", "python3", "-c", kScript, nullptr);
      _exit(127);
    }
    in.reset();
    char text[16] = {};
    if (read(out.get(), text, sizeof(text) - 1) > 0) port_ = atoi(text);
  }
  ~Prepared() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  int port() const { return port_; }  // 0: there can be none here.

 private:
  pid_t pid_ = -1;
  int port_ = 0;
};

// What setns(2) wants of who joins one, nsenter has: to be in its owner's user namespace first.
TEST_P(NetworkModesTest, HostIsAlsoOneThatSomebodyHasPrepared) {
  const Prepared prepared;
  if (prepared.port() == 0) GTEST_SKIP() << "no user namespace can be made here";
  const Listener listener;
  const std::string script = absl::StrCat("import socket\nprint(socket.create_connection(('127.0.0.1', ", prepared.port(), "), 20).recv(99).decode())\n",
                                          "try: socket.create_connection(('127.0.0.1', ", listener.port(), "), 20)\nexcept ConnectionRefusedError: print('refused')\n");
  const PlainRun run = RunPlain({"nsenter", "--target", absl::StrCat(prepared.pid()), "--user", "--net", "--preserve-credentials", BroodPath(), "run", "--policy", GetParam(),
                                 "--net", "host", "--", "python3", "-c", script});
  EXPECT_EQ(run.out, "prepared\nrefused\n") << run.err;
  EXPECT_FALSE(listener.WasReached());
}

}  // namespace
}  // namespace brood
