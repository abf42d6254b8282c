// `brood run --net`: what each mode reaches, of what is there to be reached.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

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

}  // namespace
}  // namespace brood
