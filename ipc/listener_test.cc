#include "ipc/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ipc/dial.h"
#include "ipc/testing.h"
#include "ipc/wait.h"

namespace brood {
namespace {

using testing::HasSubstr;

// A folder with a short path: the build tool's own are longer than a socket's may be.
class ListenerTest : public testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/brood-listener-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    path_ = folder_ + "/socket";
  }
  void TearDown() override {
    EXPECT_TRUE(std::filesystem::is_empty(folder_)) << "a socket file is left";
    std::filesystem::remove_all(folder_);
  }

  ino_t Inode() const {
    struct stat about = {};
    return lstat(path_.c_str(), &about) == 0 ? about.st_ino : 0;
  }
  // What a killed listener leaves: a socket file that nobody listens to.
  void MakeStaleFile() const {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }

  NoDescriptorLeaks no_leaks_;
  std::string folder_;
  std::string path_;
};

TEST_F(ListenerTest, ProcessesMeetAtEveryKindOfAddress) {
  for (const Address& address : {Address::UnixPath(path_), Address::Abstract(), Address::Tcp(), Address::Tcp("::1")}) {
    absl::StatusOr<Listener> created = Listener::Create(address);
    if (address.name == "::1" && !created.ok()) continue;  // A machine without IPv6.
    ASSERT_TRUE(created.ok()) << created.status();
    Listener listener = *std::move(created);
    PeerProcess child([&] {
      absl::StatusOr<Connection> connection = Dial(listener.address());
      return connection.ok() && connection->Send(std::string("hello")).ok() &&
             connection->Receive<int>().value_or(0) == 7;
    });
    Connection connection = listener.Accept().value();
    EXPECT_EQ(connection.Receive<std::string>().value(), "hello") << listener.address().ToString();
    ASSERT_TRUE(connection.Send(7).ok());
    EXPECT_EQ(child.Join(), 0);
    EXPECT_EQ(connection.Receive<int>().status().code(), absl::StatusCode::kOutOfRange);
  }
}

TEST_F(ListenerTest, AddressesSayWhatTheKernelChoseAndTravelAsValues) {
  const Listener abstract = Listener::Create(Address::Abstract()).value();
  const Listener tcp = Listener::Create(Address::Tcp()).value();
  EXPECT_NE(abstract.address().name, "");
  EXPECT_NE(tcp.address().port, 0);
  EXPECT_EQ(tcp.address().ToString(), "tcp:127.0.0.1:" + std::to_string(tcp.address().port));
  EXPECT_EQ(Address::Tcp("::1", 5).ToString(), "tcp:[::1]:5");
  EXPECT_EQ(Unpack<Address>(Pack(abstract.address())).value(), abstract.address());
}

TEST_F(ListenerTest, SocketFileIsForItsOwnerOnlyWhateverTheUmask) {
  for (const mode_t mask : {0, 022, 0777}) {
    const mode_t before = umask(mask);
    const absl::StatusOr<Listener> listener = Listener::Create(Address::UnixPath(path_));
    EXPECT_EQ(umask(before), mask) << "the process's own umask is left alone";
    ASSERT_TRUE(listener.ok()) << listener.status();
    struct stat about = {};
    ASSERT_EQ(lstat(path_.c_str(), &about), 0);
    EXPECT_EQ(about.st_mode, static_cast<mode_t>(S_IFSOCK | 0600));
  }
}

TEST_F(ListenerTest, FileGoesWithItsListenerAndNotWithAnotherOneOrAFork) {
  Listener listener = Listener::Create(Address::UnixPath(path_)).value();
  PeerProcess fork([&] {
    listener.Close();
    return true;
  });
  EXPECT_EQ(fork.Join(), 0);
  EXPECT_NE(Inode(), 0u) << "the fork's copy is not the maker";
  ASSERT_EQ(unlink(path_.c_str()), 0);
  Listener second = Listener::Create(Address::UnixPath(path_)).value();
  const ino_t inode = Inode();
  listener.Close();
  EXPECT_EQ(Inode(), inode) << "the first listener's file was another one";
  second = Listener();
  EXPECT_EQ(Inode(), 0u);
}

TEST_F(ListenerTest, FileIsRemovedAlsoWhenTheCurrentDirectoryHasChanged) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  Listener listener = Listener::Create(Address::UnixPath("socket")).value();
  std::filesystem::current_path(before);
  EXPECT_NE(Inode(), 0u);
  listener.Close();
  EXPECT_EQ(Inode(), 0u);
}

TEST_F(ListenerTest, ASecondListenerAtTheSameAddressIsRefusedAndTheFirstGoesOn) {
  for (const Address& address : {Address::UnixPath(path_), Address::Abstract(), Address::Tcp()}) {
    Listener listener = Listener::Create(address).value();
    const absl::Status status = Listener::Create(listener.address()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("the address is in use"));
    Connection dialed = Dial(listener.address()).value();
    ASSERT_TRUE(dialed.Send(1).ok());
    // Behind whoever came to see whether the listener lives.
    while (true) {
      Connection accepted = listener.Accept().value();
      const absl::StatusOr<int> value = accepted.Receive<int>();
      if (absl::IsOutOfRange(value.status())) continue;
      EXPECT_EQ(value.value(), 1);
      break;
    }
  }
}

TEST_F(ListenerTest, AListenerWhoseQueueIsFullIsAliveAndKeepsItsFile) {
  Listener listener = Listener::Create(Address::UnixPath(path_), {.backlog = 0}).value();
  const Connection first = Dial(listener.address()).value();
  EXPECT_EQ(Dial(listener.address(), {.timeout = absl::Milliseconds(20)}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Listener::Create(listener.address()).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(listener.Accept(absl::ZeroDuration()).ok());
}

TEST_F(ListenerTest, AFileThatAKilledListenerLeftIsReplacedUnlessItIsToBeKept) {
  MakeStaleFile();
  const ino_t inode = Inode();
  EXPECT_EQ(Dial(Address::UnixPath(path_)).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Listener::Create(Address::UnixPath(path_), {.stale_file = StaleSocketFile::kRefuse}).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Inode(), inode);
  Listener listener = Listener::Create(Address::UnixPath(path_)).value();
  EXPECT_TRUE(Dial(listener.address()).ok());
}

TEST_F(ListenerTest, OfManyThatReplaceTheSameStaleFileExactlyOneWins) {
  for (int round = 0; round < 20; ++round) {
    MakeStaleFile();
    std::vector<absl::StatusOr<Listener>> created(4);
    std::vector<std::thread> threads;
    for (auto& result : created) {
      threads.emplace_back([&] { result = Listener::Create(Address::UnixPath(path_)); });
    }
    for (std::thread& thread : threads) thread.join();
    int winners = 0;
    for (const auto& result : created) {
      if (result.ok()) {
        ++winners;
      } else {
        EXPECT_EQ(result.status().code(), absl::StatusCode::kAlreadyExists) << result.status();
      }
    }
    EXPECT_EQ(winners, 1);
    EXPECT_TRUE(Dial(Address::UnixPath(path_)).ok()) << "the winner is the one that can be reached";
  }
}

TEST_F(ListenerTest, AFileThatIsNoSocketIsNeverReplaced) {
  std::ofstream(path_) << "precious";
  const absl::Status status = Listener::Create(Address::UnixPath(path_)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no socket"));
  EXPECT_EQ(std::filesystem::file_size(path_), 8u);
  ASSERT_EQ(unlink(path_.c_str()), 0);
}

TEST_F(ListenerTest, BadAddressesAreRefusedWithTheReason) {
  const auto error = [](const Address& address) {
    const absl::Status status = Listener::Create(address).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(Dial(address).status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(error(Address::UnixPath(std::string(108, 'x'))), HasSubstr("108 bytes, at most 107 are possible"));
  EXPECT_THAT(error(Address::Abstract(std::string(108, 'x'))), HasSubstr("108 bytes, at most 107 are possible"));
  EXPECT_THAT(error(Address::UnixPath("")), HasSubstr("the path is empty"));
  EXPECT_THAT(error(Address::UnixPath(std::string("\0x", 2))), HasSubstr("zero byte"));
  EXPECT_THAT(error(Address::Tcp("localhost")), HasSubstr("no numeric address"));
  for (const char* ip : {"0.0.0.0", "::", "192.0.2.1", "128.0.0.1"}) {
    EXPECT_THAT(error(Address::Tcp(ip)), HasSubstr("beyond this machine"));
  }
  Address unknown;
  unknown.family = static_cast<Address::Family>(9);
  EXPECT_THAT(error(unknown), HasSubstr("no family 9"));
  EXPECT_EQ(Listener::Create(Address::UnixPath(folder_ + "/none/socket")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Dial(Address::UnixPath(path_)).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Listener::Create(Address::UnixPath(folder_ + "/" + std::string(106 - folder_.size(), 'x'))).ok());
  // An address of documentation, RFC 5737: now it is for the kernel to say that this machine has not got it.
  EXPECT_THAT(
      std::string(Listener::Create(Address::Tcp("192.0.2.1"), {.reach = TcpReach::kNetwork}).status().message()),
      HasSubstr("EADDRNOTAVAIL"));
}

TEST_F(ListenerTest, NobodyAtATcpPortIsUnavailableAndNeverOneself) {
  // A port of those that the kernel gives to dialing ends: with enough dials it gives the dialed one itself.
  const uint16_t port = [] {
    Listener listener = Listener::Create(Address::Tcp()).value();
    const Connection dialed = Dial(listener.address()).value();
    listener.Accept().value().Close();
    sockaddr_in own = {};
    socklen_t size = sizeof(own);
    EXPECT_EQ(getsockname(dialed.descriptor(), reinterpret_cast<sockaddr*>(&own), &size), 0);
    return ntohs(own.sin_port);
  }();
  for (int i = 0; i < 30'000; ++i) {
    ASSERT_EQ(Dial(Address::Tcp("127.0.0.1", port)).status().code(), absl::StatusCode::kUnavailable) << i;
  }
}

TEST_F(ListenerTest, AcceptTimesOutAndClosedListenersRefuse) {
  Listener listener = Listener::Create(Address::UnixPath(path_)).value();
  const AuthKey key = AuthKey::Generate().value();
  for (const absl::Duration timeout : {absl::Seconds(-1), absl::ZeroDuration(), absl::Milliseconds(20)}) {
    EXPECT_EQ(listener.Accept(timeout).status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(listener.AcceptAuthenticated(key, timeout).status().code(), absl::StatusCode::kDeadlineExceeded);
  }
  Connection waiting = Dial(listener.address()).value();
  const Address address = listener.address();
  listener.Close();
  EXPECT_EQ(listener.Accept().status(), absl::FailedPreconditionError("accept: the listener is closed"));
  EXPECT_EQ(listener.AcceptAuthenticated(key).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(listener.descriptor(), -1);
  EXPECT_EQ(Listener().Accept().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(waiting.ReceiveBytes().status().code(), absl::StatusCode::kOutOfRange) << "a peer that was not accepted";
  EXPECT_EQ(Dial(address).status().code(), absl::StatusCode::kNotFound);
}

// Python's test_issue14725 and test_issue16955.
TEST_F(ListenerTest, APeerThatIsGoneBeforeItIsAcceptedLosesNothing) {
  for (const Address& address : {Address::UnixPath(path_), Address::Tcp()}) {
    Listener listener = Listener::Create(address).value();
    PeerProcess child([&] { return Dial(listener.address()).value().Send(5).ok(); });
    EXPECT_EQ(child.Join(), 0);
    Connection connection = listener.Accept().value();
    EXPECT_TRUE(connection.Poll().value());
    EXPECT_EQ(connection.Receive<int>().value(), 5);
    EXPECT_EQ(connection.Receive<int>().status().code(), absl::StatusCode::kOutOfRange);
  }
}

TEST_F(ListenerTest, DescriptorIsReadableWhenSomebodyComes) {
  Listener listener = Listener::Create(Address::UnixPath(path_)).value();
  EXPECT_TRUE(Wait({listener.descriptor()}, absl::ZeroDuration()).value().empty());
  const Connection dialed = Dial(listener.address()).value();
  EXPECT_EQ(Wait({listener.descriptor()}).value().size(), 1u);
  EXPECT_TRUE(listener.Accept(absl::ZeroDuration()).ok());
  EXPECT_TRUE(Wait({listener.descriptor()}, absl::ZeroDuration()).value().empty());
}

TEST_F(ListenerTest, PeerCredentialsAreTheDialers) {
  Listener listener = Listener::Create(Address::Abstract()).value();
  PeerProcess child([&] {
    Connection connection = Dial(listener.address()).value();
    return absl::IsOutOfRange(connection.ReceiveBytes().status());
  });
  Connection connection = listener.Accept().value();
  EXPECT_EQ(connection.peer_credentials().value().pid, child.pid());
  EXPECT_EQ(connection.peer_credentials().value().uid, geteuid());
  connection.Close();
  EXPECT_EQ(child.Join(), 0);

  Listener tcp = Listener::Create(Address::Tcp()).value();
  const Connection dialed = Dial(tcp.address()).value();
  EXPECT_EQ(dialed.peer_credentials().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ListenerTest, OtherUsersAreRefusedOnBothSidesUnlessTheyMay) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  constexpr uid_t kOther = 65534;
  if (PeerProcess([] { return setresuid(kOther, kOther, kOther) == 0; }).Join() != 0) {
    GTEST_SKIP() << "this user namespace has no other user";
  }
  for (const PeerUser users : {PeerUser::kSame, PeerUser::kAny}) {
    Listener listener = Listener::Create(Address::Abstract(), {.peers = users}).value();
    PeerProcess child([&] {
      if (setresuid(kOther, kOther, kOther) != 0) return false;
      const absl::Status strict = Dial(listener.address()).status();
      Connection connection = Dial(listener.address(), {.peer = PeerUser::kAny}).value();
      const bool served = connection.Receive<int>().ok();
      return absl::IsPermissionDenied(strict) && served == (users == PeerUser::kAny);
    });
    for (int i = 0; i < 2; ++i) {
      absl::StatusOr<Connection> connection = listener.Accept(absl::Seconds(60));
      if (users == PeerUser::kSame) {
        EXPECT_EQ(connection.status().code(), absl::StatusCode::kPermissionDenied);
        EXPECT_THAT(std::string(connection.status().message()), HasSubstr("user 65534"));
      } else {
        ASSERT_TRUE(connection.ok()) << connection.status();
        (void)connection->Send(i);  // The first has closed already.
      }
    }
    EXPECT_EQ(child.Join(), 0);
  }
}

TEST_F(ListenerTest, DescriptorsDoNotTravelOverTcpAndOtherMessagesDo) {
  Listener listener = Listener::Create(Address::Tcp()).value();
  Connection dialed = Dial(listener.address()).value();
  Connection accepted = listener.Accept().value();
  EXPECT_EQ(dialed.SendHandle(0), absl::FailedPreconditionError("send: descriptors travel over Unix sockets only"));
  const std::string text(size_t{16} << 20, 'x');
  std::thread sender([&] { EXPECT_TRUE(dialed.SendBytes(text).ok()); });
  EXPECT_TRUE(accepted.ReceiveBytes().value() == text);
  sender.join();
}

TEST_F(ListenerTest, NoRoomForAPeerIsAnErrorAndThePeerStillWaits) {
  Listener listener = Listener::Create(Address::UnixPath(path_)).value();
  Connection dialed = Dial(listener.address()).value();
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none = {.rlim_cur = 3, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const absl::Status status = listener.Accept().status();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_TRUE(listener.Accept(absl::ZeroDuration()).ok());
}

// Python's test_ignore_listener.
TEST_F(ListenerTest, SignalsDoNotEndAnAccept) {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  struct sigaction before = {};
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  Listener listener = Listener::Create(Address::UnixPath(path_)).value();
  const pthread_t accepter = pthread_self();
  std::thread storm([&] {
    for (int i = 0; i < 500; ++i) {
      pthread_kill(accepter, SIGUSR1);
      std::this_thread::yield();
    }
    EXPECT_TRUE(Dial(listener.address()).ok());
  });
  EXPECT_TRUE(listener.Accept().ok());
  storm.join();
  ASSERT_EQ(sigaction(SIGUSR1, &before, nullptr), 0);
}

}  // namespace
}  // namespace brood
