// Connections of a child that may reach only what is on a list, made by its guardian. All of it on loopback.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "batch/policy_options.h"
#include "gtest/gtest.h"
#include "launcher/process.h"

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

// Says "hello" to everybody who connects, and counts them.
class Server {
 public:
  // On an address of the machine's own loopback, or at a local name.
  explicit Server(int family) {
    sockaddr_storage address = {};
    socklen_t length = sizeof(sockaddr_in);
    if (family == AF_INET) {
      auto& four = reinterpret_cast<sockaddr_in&>(address);
      four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
      auto& six = reinterpret_cast<sockaddr_in6&>(address);
      six.sin6_addr = in6addr_loopback;
      length = sizeof(sockaddr_in6);
    }
    address.ss_family = static_cast<sa_family_t>(family);
    Listen(address, length);
    socklen_t size = sizeof(address);
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);  // The same place for both.
  }
  explicit Server(const std::string& local) {
    sockaddr_storage address = {};
    auto& name = reinterpret_cast<sockaddr_un&>(address);
    name.sun_family = AF_UNIX;
    memcpy(name.sun_path, local.data(), local.size());
    if (local[0] == '@') name.sun_path[0] = '\0';
    Listen(address, static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + local.size() + (local[0] == '@' ? 0 : 1)));
  }
  ~Server() {
    const uint64_t one = 1;
    EXPECT_EQ(write(stop_.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
    if (thread_.joinable()) thread_.join();
  }
  std::string port() const { return absl::StrCat(port_); }
  int connections() const { return connections_; }

 private:
  void Listen(const sockaddr_storage& address, socklen_t length) {
    stop_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
    socket_ = UniqueFd(socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), length), 0) << strerror(errno);
    ASSERT_EQ(listen(socket_.get(), 100), 0);
    thread_ = std::thread([this] {
      for (;;) {
        pollfd polls[] = {{socket_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
        if (poll(polls, 2, -1) < 0 || polls[1].revents != 0) return;
        const UniqueFd peer(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!peer.valid()) continue;
        ++connections_;
        send(peer.get(), "hello\n", 6, MSG_NOSIGNAL);
      }
    });
  }

  UniqueFd socket_;
  UniqueFd stop_;
  int port_ = 0;
  std::atomic<int> connections_{0};
  std::thread thread_;
};

// A port whose queue of connections is full: nothing answers there.
class SilentHost {
 public:
  SilentHost() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(socket_.get(), 0), 0);
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    for (int i = 0; i < 3; ++i) {
      fillers_.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      connect(fillers_.back().get(), reinterpret_cast<sockaddr*>(&address), sizeof(address));
    }
  }
  std::string port() const { return absl::StrCat(port_); }

 private:
  UniqueFd socket_;
  int port_ = 0;
  std::vector<UniqueFd> fillers_;
};

// Takes whoever connects, and reads nothing.
class DeafHost {
 public:
  DeafHost() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    const int little = 4096;
    setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(socket_.get(), 4096), 0);
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  std::string port() const { return absl::StrCat(port_); }

 private:
  UniqueFd socket_;  // Those who wait to be accepted are connected already.
  int port_ = 0;
};

// A port that nobody listens on: bound, so that nobody else gets it.
class ClosedPort {
 public:
  ClosedPort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  std::string port() const { return absl::StrCat(port_); }

 private:
  UniqueFd socket_;
  int port_ = 0;
};

class NetworkAllowTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    programs_ = std::filesystem::canonical(absl::StrCat(getenv("TEST_SRCDIR"), "/", getenv("TEST_WORKSPACE"),
                                                        "/tests/programs/bin/connects_to"))
                    .parent_path()
                    .string();
  }

  std::string Run(const std::vector<std::string>& argv, const std::string& allow,
                  absl::Duration wall_time = absl::InfiniteDuration()) {
    Policy policy = BuiltinPolicy(GetParam()).value();
    const absl::StatusOr<Network> network = ParseNetwork(absl::StrCat("allow:", allow));
    EXPECT_TRUE(network.ok()) << network.status();
    PolicyOptions options;
    options.network = *network;
    options.files.push_back({.source = programs_, .destination = "/programs"});
    if (!writable_.empty()) options.files.push_back({.source = writable_, .destination = "/written", .access = FileRule::Access::kReadWrite});
    EXPECT_TRUE(ApplyPolicyOptions(options, policy).ok());
    policy.syscalls.insert(policy.syscalls.end(), rules_.begin(), rules_.end());
    if (wall_time != absl::InfiniteDuration()) policy.limits.wall_time = wall_time;
    const auto plan = CompilePolicy(policy);
    EXPECT_TRUE(plan.ok()) << plan.status();
    if (!plan.ok()) return "";
    LaunchOptions launch;
    launch.argv = argv;
    launch.policy = *plan;
    launch.stdout_spec = Stdio::Capture();
    absl::StatusOr<Process> process = Process::Launch(launch);
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return "";
    outcome_ = process->Join(absl::Seconds(60)).value();
    return ReadAll(process->TakeStdout());
  }
  std::string Connect(const std::string& address, const std::string& port, const std::string& allow) {
    return Run({"/programs/connects_to", address, port}, allow);
  }
  // "10.0.0.5:443 x2, ..."
  std::string Refused() const {
    std::string text;
    for (const RefusedConnection& one : outcome_.refused) {
      absl::StrAppend(&text, text.empty() ? "" : ", ", one.to, " x", one.count);
    }
    return text;
  }

  std::string programs_;
  std::string writable_;            // Shown so, if not empty.
  std::vector<SyscallRule> rules_;  // Besides.
  Outcome outcome_;
};

const std::string kRefused = absl::StrCat(-EACCES, "\n");

TEST_P(NetworkAllowTest, ReachesWhatIsListedAndNothingElse) {
  const Server listed(AF_INET);
  const Server other(AF_INET);
  const std::string allow = absl::StrCat("127.0.0.1:", listed.port());
  EXPECT_EQ(Connect("127.0.0.1", listed.port(), allow), "hello\n");
  EXPECT_TRUE(outcome_.ok()) << outcome_.ToString();
  EXPECT_EQ(Refused(), "");
  EXPECT_EQ(Connect("127.0.0.1", other.port(), allow), kRefused);
  EXPECT_TRUE(outcome_.ok()) << outcome_.ToString();
  EXPECT_EQ(Refused(), absl::StrCat("127.0.0.1:", other.port(), " x1"));
  EXPECT_EQ(Connect("127.0.0.2", listed.port(), allow), kRefused);
  EXPECT_EQ(Connect("0.0.0.0", listed.port(), allow), kRefused);  // The same host to the kernel, and not what was listed.
  EXPECT_EQ(Connect("::1", listed.port(), allow), kRefused);
  EXPECT_EQ(Refused(), absl::StrCat("[::1]:", listed.port(), " x1"));
  EXPECT_EQ(other.connections(), 0);
}

TEST_P(NetworkAllowTest, ANetworkWithAnyPortIsOneEntry) {
  const Server server(AF_INET);
  EXPECT_EQ(Connect("127.0.0.1", server.port(), "10.0.0.1:1,127.0.0.0/8:*"), "hello\n");
  EXPECT_EQ(Connect("127.0.0.1", server.port(), "127.0.0.2/31:*"), kRefused);
}

TEST_P(NetworkAllowTest, AnIPv4AddressIsTheSameInIPv6sClothes) {
  const Server server(AF_INET);
  EXPECT_EQ(Connect("::ffff:127.0.0.1", server.port(), absl::StrCat("127.0.0.1:", server.port())), "hello\n");
  EXPECT_EQ(Connect("::ffff:127.0.0.1", server.port(), "[::/0]:*"), kRefused);
}

TEST_P(NetworkAllowTest, ReachesIPv6) {
  if (access("/proc/net/if_inet6", F_OK) != 0) GTEST_SKIP() << "this machine has no IPv6";
  const Server server(AF_INET6);
  EXPECT_EQ(Connect("::1", server.port(), absl::StrCat("[::1]:", server.port())), "hello\n");
}

TEST_P(NetworkAllowTest, NobodyListeningIsToldAsSuch) {
  const ClosedPort closed;
  EXPECT_EQ(Connect("127.0.0.1", closed.port(), absl::StrCat("127.0.0.1:", closed.port())), absl::StrCat(-ECONNREFUSED, "\n"));
  EXPECT_EQ(Refused(), "");
}

TEST_P(NetworkAllowTest, LocalSocketsOfTheMachineAreReachedByNameAlone) {
  char directory[] = "/tmp/brood-test-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string path = absl::StrCat(directory, "/socket");
  const std::string abstract = absl::StrCat("@brood-test-", getpid());
  {
    const Server at_path(path);
    const Server at_name(abstract);
    EXPECT_EQ(Connect("unix", path, absl::StrCat("unix:", path)), "hello\n");
    EXPECT_EQ(Connect("unix", abstract, absl::StrCat("unix:", abstract)), "hello\n");
    EXPECT_EQ(Connect("unix", abstract, absl::StrCat("unix:", path)), kRefused);
    EXPECT_EQ(Refused(), absl::StrCat("unix:", abstract, " x1"));
    EXPECT_EQ(Connect("unix", path, absl::StrCat("unix:", abstract)), kRefused);
    EXPECT_EQ(Refused(), absl::StrCat("unix:", path, " x1"));
    EXPECT_EQ(at_path.connections() + at_name.connections(), 2);
  }
  std::filesystem::remove_all(directory);
}

// Busy for a second after its queue, of one, was made.
class BusyServer {
 public:
  explicit BusyServer(const std::string& path) : socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un name = {};
    name.sun_family = AF_UNIX;
    memcpy(name.sun_path, path.data(), path.size());
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
    EXPECT_EQ(chmod(path.c_str(), 0777), 0);
    EXPECT_EQ(listen(socket_.get(), 0), 0);
    thread_ = std::thread([this] {
      pollfd stop = {stop_.get(), POLLIN, 0};
      if (poll(&stop, 1, 1000) != 0) return;
      for (;;) {
        pollfd polls[] = {{socket_.get(), POLLIN, 0}, stop};
        if (poll(polls, 2, -1) < 0 || polls[1].revents != 0) return;
        const UniqueFd peer(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        send(peer.get(), "hello\n", 6, MSG_NOSIGNAL);
      }
    });
  }
  ~BusyServer() {
    const uint64_t one = 1;
    EXPECT_EQ(write(stop_.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
    thread_.join();
  }

 private:
  UniqueFd socket_;
  UniqueFd stop_{eventfd(0, EFD_CLOEXEC)};
  std::thread thread_;
};

TEST_P(NetworkAllowTest, AFullQueueOfALocalSocketIsWaitedFor) {
  char directory[] = "/tmp/brood-test-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string path = absl::StrCat(directory, "/socket");
  EXPECT_EQ(chmod(directory, 0755), 0);
  {
    const BusyServer server(path);
    EXPECT_EQ(Run({"/programs/connects_when_full", path}, absl::StrCat("unix:", path)), absl::StrCat(-EAGAIN, "\nhello\n"));
    EXPECT_TRUE(outcome_.ok()) << outcome_.ToString();
  }
  std::filesystem::remove_all(directory);
}

// Where the child may write it could put a link to what only its caller may connect to.
TEST_P(NetworkAllowTest, ALinkInThePlaceOfASocketLeadsNowhere) {
  char directory[] = "/tmp/brood-test-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string own = absl::StrCat(directory, "/own"), given = absl::StrCat(directory, "/given");
  for (const std::string& place : {own, given}) ASSERT_TRUE(std::filesystem::create_directory(place));
  std::filesystem::create_symlink(given, absl::StrCat(directory, "/way"));
  std::filesystem::create_symlink(own + "/socket", given + "/link");
  std::filesystem::create_symlink(own, given + "/away");
  {
    const Server hidden(own + "/socket");
    const Server shared(given + "/socket");
    writable_ = given;
    EXPECT_EQ(Connect("unix", given + "/socket", absl::StrCat("unix:", given, "/socket")), "hello\n");
    for (const std::string& to : {given, absl::StrCat(directory, "/way")}) {
      for (const char* name : {"/link", "/away/socket"}) {
        EXPECT_EQ(Connect("unix", to + name, absl::StrCat("unix:", to, name)), absl::StrCat(-ELOOP, "\n")) << to << name;
      }
    }
    EXPECT_EQ(hidden.connections(), 0);
    writable_.clear();
    EXPECT_EQ(Connect("unix", given + "/link", absl::StrCat("unix:", given, "/link")), "hello\n") << "the caller's own";
  }
  std::filesystem::remove_all(directory);
}

TEST_P(NetworkAllowTest, AProgramsOwnPatienceIsKept) {
  const SilentHost silent;
  EXPECT_EQ(Run({"/programs/connects_to", "127.0.0.1", silent.port(), "1"}, absl::StrCat("127.0.0.1:", silent.port()), absl::Seconds(30)),
            absl::StrCat(-EINPROGRESS, "\n"));
  EXPECT_TRUE(outcome_.ok()) << outcome_.ToString();
}

TEST_P(NetworkAllowTest, WhereADatagramDidNotGoIsTold) {
  const auto send = [&](const char* address) { return Run({"/programs/sends_datagram", address, "53"}, "10.0.0.5:443"); };
  EXPECT_EQ(send("10.0.0.1"), kRefused);
  EXPECT_TRUE(outcome_.ok()) << outcome_.ToString();
  EXPECT_EQ(Refused(), "udp 10.0.0.1:53 x1");
  EXPECT_EQ(send("fd00::1"), kRefused);
  EXPECT_EQ(Refused(), "udp [fd00::1]:53 x1");
  EXPECT_EQ(send("::ffff:10.0.0.1"), kRefused);
  EXPECT_EQ(send("127.0.0.1"), "1\n");  // Its own.
  EXPECT_EQ(Refused(), "");
}

TEST_P(NetworkAllowTest, WhereAMessageDidNotGoIsToldToo) {
  const auto send = [&](std::vector<std::string> to) {
    to.insert(to.begin(), {"/programs/sends_messages", "53"});
    return Run(to, "10.0.0.5:53");
  };
  EXPECT_EQ(send({"10.0.0.1"}), kRefused);
  EXPECT_TRUE(outcome_.ok()) << outcome_.ToString();
  EXPECT_EQ(Refused(), "udp 10.0.0.1:53 x1");
  EXPECT_EQ(send({"10.0.0.5"}), kRefused);  // Listed, which opens no way for datagrams.
  EXPECT_EQ(Refused(), "udp 10.0.0.5:53 x1");
  EXPECT_EQ(send({"fd00::1"}), kRefused);
  EXPECT_EQ(Refused(), "udp [fd00::1]:53 x1");
  EXPECT_EQ(send({"127.0.0.1"}), "1\n");  // Its own.
  EXPECT_EQ(Refused(), "");
  EXPECT_EQ(send({"10.0.0.1", "127.0.0.1"}), kRefused);
  EXPECT_EQ(Refused(), "udp 10.0.0.1:53 x1");
  EXPECT_EQ(send({"127.0.0.1", "127.0.0.2", "10.0.0.2", "10.0.0.3"}), "2\n");
  EXPECT_EQ(Refused(), "udp 10.0.0.2:53 x1");
}

TEST_P(NetworkAllowTest, WhatIsToBeCountedIsThatBesides) {
  rules_ = {{.names = {"connect", "sendto", "sendmsg"}, .action = SyscallAction::kNotify, .layer = 100}};
  const auto counted = [&] {
    std::string text;
    for (const Notified& call : outcome_.notified) absl::StrAppend(&text, call.syscall, " x", call.count, " ");
    return text;
  };
  const Server server(AF_INET);
  EXPECT_EQ(Connect("127.0.0.1", server.port(), absl::StrCat("127.0.0.1:", server.port())), "hello\n");
  EXPECT_EQ(counted(), "connect x1 ");
  EXPECT_EQ(Run({"/programs/sends_messages", "53", "10.0.0.1"}, "10.0.0.5:53"), kRefused);
  EXPECT_EQ(counted(), "sendmsg x1 ");
  EXPECT_EQ(Refused(), "udp 10.0.0.1:53 x1");
  EXPECT_EQ(Run({"/programs/sends_datagram", "10.0.0.1", "53"}, "10.0.0.5:53"), kRefused);
  EXPECT_EQ(counted(), "sendto x1 ");
  EXPECT_EQ(Refused(), "udp 10.0.0.1:53 x1");
}

// The C library asks the name service's daemon by its socket, with whatever stands behind the path, and looks by sockets of datagrams
// which of the addresses it would use.
TEST_P(NetworkAllowTest, WhatNameResolutionTriesIsToldOnce) {
  const std::string lookups = Run({"python3", "-c", R"(
import socket
for tail in (b"", b"garbage", b"other"):
    name = b"/no/such/socket\0" + tail
    try: socket.socket(socket.AF_UNIX).connect(name)
    except OSError as e: print(-e.errno)
for port in (0, 443):
    try: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("10.0.0.5", port))
    except OSError as e: print(-e.errno)
)"}, "10.0.0.5:443,unix:/no/other");
  EXPECT_EQ(lookups, absl::StrCat(kRefused, kRefused, kRefused, kRefused, kRefused));
  EXPECT_EQ(Refused(), "unix:/no/such/socket x3");
}

// They would reach sockets with names in what is shown.
TEST_P(NetworkAllowTest, ThereAreNoLocalDatagrams) {
  for (const char* type : {"2", "3", "0x80002"}) {
    for (const char* call : {"41", "53"}) {  // socket, socketpair
      EXPECT_EQ(Run({"/programs/makes_call", call, "1", type, "0", "0"}, "10.0.0.5:443"), kRefused) << call << " " << type;
    }
  }
}

TEST_P(NetworkAllowTest, ASilentHostHoldsUpNobodyElse) {
  const SilentHost silent;
  const Server server(AF_INET);
  const std::string script = absl::StrCat("/programs/connects_to 127.0.0.1 ", silent.port(), " & ",
                                          "/programs/connects_to 127.0.0.1 ", server.port());
  const std::string allow = absl::StrCat("127.0.0.1:", silent.port(), ",127.0.0.1:", server.port());
  EXPECT_EQ(Run({"sh", "-c", script}, allow), "hello\n");
  EXPECT_TRUE(outcome_.ok()) << outcome_.ToString();
}

TEST_P(NetworkAllowTest, HundredsWhoWaitForASilentHostHoldUpNobodyElse) {
  if (std::string_view(GetParam()) == "strict") GTEST_SKIP() << "strict has fewer threads than that";
  const SilentHost silent;
  const Server server(AF_INET);
  const std::string connected = Run({"/programs/connects_beside_many", silent.port(), "400", server.port()},
                                    absl::StrCat("127.0.0.1:", silent.port(), ",127.0.0.1:", server.port()));
  EXPECT_EQ(connected, "400 wait\nhello\n");
  EXPECT_TRUE(outcome_.ok()) << outcome_.ToString();
}

TEST_P(NetworkAllowTest, TheWallTimeIsKeptWhileAHostIsSilent) {
  const SilentHost silent;
  EXPECT_EQ(Run({"/programs/connects_to", "127.0.0.1", silent.port()}, absl::StrCat("127.0.0.1:", silent.port()),
                absl::Milliseconds(300)),
            "");
  EXPECT_EQ(outcome_.StatusWord(), "timeout") << outcome_.ToString();
}

// Its guardian borrows a socket for each connect(2), and must not be the one who waits for what the kernel still has to send.
TEST_P(NetworkAllowTest, TheWallTimeIsKeptThoughASocketLingers) {
  const DeafHost deaf;
  const absl::Time begin = absl::Now();
  Run({"/programs/lingers", deaf.port(), "100000"}, absl::StrCat("127.0.0.1:", deaf.port()), absl::Seconds(4));
  EXPECT_EQ(outcome_.StatusWord(), "timeout") << outcome_.ToString();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(20));
}

TEST_P(NetworkAllowTest, AConnectThatASignalInterruptsIsNoViolation) {
  const Server server(AF_INET);
  const std::string interrupted = Run({"/programs/interrupts_connects", server.port(), "2000"}, absl::StrCat("127.0.0.1:", server.port()));
  EXPECT_TRUE(outcome_.ok()) << outcome_.ToString();
  EXPECT_GT(atoi(interrupted.c_str()), 0) << "nothing was tried";
}

TEST_P(NetworkAllowTest, ANonBlockingConnectStaysOneAndKeepsWhatWasSet) {
  const Server server(AF_INET);
  EXPECT_EQ(Run({"/programs/connects_nonblocking", server.port()}, absl::StrCat("127.0.0.1:", server.port())),
            "started\n0\nconnected\n1 1 1\n");
}

TEST_P(NetworkAllowTest, AnAddressThatChangesDuringTheCallReachesNothingElse) {
  const Server listed(AF_INET);
  const Server other(AF_INET);
  const std::string connected =
      Run({"/programs/changes_address", listed.port(), other.port(), "2000"}, absl::StrCat("127.0.0.1:", listed.port()));
  EXPECT_EQ(other.connections(), 0);
  // Both were seen, or nothing was tried.
  EXPECT_GT(atoi(connected.c_str()), 0);
  EXPECT_FALSE(outcome_.refused.empty());
}

TEST_P(NetworkAllowTest, AConnectionIsGoodForNothingElse) {
  const ClosedPort closed;
  const Server listed(AF_INET);
  const Server other(AF_INET);
  EXPECT_EQ(Run({"/programs/abuses_connection", closed.port(), listed.port(), other.port()},
                absl::StrCat("127.0.0.1:", closed.port(), ",127.0.0.1:", listed.port())),
            absl::StrCat("listen ", -EACCES, "\nfastopen ", -EOPNOTSUPP, "\nsendto ", -ECONNREFUSED, "\npeer 0\ndisconnect ", -EACCES,
                         "\nagain ", -EACCES, "\nsource route ", -EPERM, "\ninterfaces ", -ENOTTY, "\ndatagram ", -EACCES, "\n"));
  EXPECT_EQ(other.connections(), 0);
  EXPECT_EQ(Refused(), absl::StrCat("127.0.0.1:", other.port(), " x1, udp 127.0.0.1:", other.port(), " x1"));
}

TEST_P(NetworkAllowTest, ANameOnTheListIsKnownInside) {
  const Server server(AF_INET);
  const std::string hosts = Run({"cat", "/etc/hosts"}, absl::StrCat("localhost:", server.port()));
  EXPECT_TRUE(absl::StrContains(hosts, "127.0.0.1 localhost\n")) << hosts;
  EXPECT_EQ(Connect("127.0.0.1", server.port(), absl::StrCat("localhost:", server.port())), "hello\n");
}

INSTANTIATE_TEST_SUITE_P(Policies, NetworkAllowTest, testing::Values("strict", "default"),
                         [](const auto& param) { return std::string(param.param); });

TEST(NetworkListTest, NeedsTheFilterAndNoWayAroundIt) {
  Policy none = BuiltinPolicy("none").value();
  none.network = {.mode = NetworkMode::kAllow, .to = {"10.0.0.5:443"}};
  EXPECT_TRUE(absl::StrContains(CompilePolicy(none).status().message(), "needs the system call filter")) << CompilePolicy(none).status();
  Policy uring = BuiltinPolicy("default").value();
  uring.network = none.network;
  uring.syscalls.push_back({.names = {"@io-uring"}, .layer = 7});
  EXPECT_TRUE(absl::StrContains(CompilePolicy(uring).status().message(), "io_uring connects past every filter"));
}

}  // namespace
}  // namespace brood
