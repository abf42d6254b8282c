// What clients do to a server that they mean no good to, or that die: nobody else notices.
#include <grp.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "launcher/launch_record.h"
#include "sandbox/policy_flatbuffer.h"
#include "serve/serve_testing.h"

namespace brood {
namespace {

using internal::RemoteLaunch;
using internal::ServeTag;

ServeOptions Options() {
  ServeOptions options;
  options.policy = BuiltinPolicy("default").value();
  options.patience = absl::Hours(1);  // What is served at once waits for nobody.
  return options;
}

// The head of a record, as forkserver/request_linux.cc writes it.
struct Head {
  uint64_t magic = 0x325253444f4f5242;
  uint64_t tag = ServeTag{.kind = ServeTag::Kind::kLaunch}.Encode();
  uint64_t byte_count = 0;
  uint32_t fd_count = 0;
  uint8_t in_memory = 0;
  uint8_t has_more = 0;
  uint8_t unused[2] = {};
  uint64_t words[4] = {};
};

void SendHead(const RawClient& client, const Head& head, std::string_view bytes, const std::vector<int>& fds = {}) {
  const iovec parts[] = {{const_cast<Head*>(&head), sizeof(head)}, {const_cast<char*>(bytes.data()), bytes.size()}};
  EXPECT_GE(child::SendWithFds(client.get(), parts, 2, fds.data(), fds.size(), 0), 0);
}

TEST(HostileTest, GarbageIsRefusedAndEndsItsOwnConnectionOnly) {
  ServerProcess server(Options());
  std::mt19937 random(1);
  for (const size_t size : {1, 7, 8, 39, 40, 64, 4096, 65000, 100000}) {
    const RawClient client(server.path());
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    ASSERT_EQ(send(client.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(size));
    EXPECT_FALSE(client.Refusal().ok()) << size;
  }
  const RawClient empty(server.path());
  ASSERT_EQ(send(empty.get(), "", 0, 0), 0);
  EXPECT_FALSE(empty.Refusal().ok());
  EXPECT_TRUE(Serves(server.path()));
}

TEST(HostileTest, ARequestWithBytesThatAreChangedIsRefusedOrServedAndNobodyElseNotices) {
  ServerProcess server(Options());
  GoodLaunch good("exit 0");
  const internal::EncodedRemoteLaunch encoded = internal::EncodeRemoteLaunch(good.launch);
  std::mt19937 random(2);
  for (int round = 0; round < 300; ++round) {
    const RawClient client(server.path());
    std::string bytes = encoded.bytes;
    for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    ASSERT_EQ(client.Ask(ServeTag::Kind::kLaunch, bytes, encoded.fds), absl::OkStatus());
    const RawClient::Answer answer = client.Next();
    EXPECT_TRUE(answer.kind == ServeTag::Kind::kRefused || answer.kind == ServeTag::Kind::kOutcome) << answer.bytes;
  }
  EXPECT_TRUE(Serves(server.path()));
}

TEST(HostileTest, ARequestThatIsCutOffAnywhereIsRefused) {
  ServerProcess server(Options());
  GoodLaunch good("exit 0");
  const internal::EncodedRemoteLaunch encoded = internal::EncodeRemoteLaunch(good.launch);
  // What it ends with may be up to seven bytes that say nothing.
  for (size_t size = 0; size + 8 <= encoded.bytes.size(); ++size) {
    const RawClient client(server.path());
    // What the head says is true, and then it is not.
    if (size % 2 == 0) {
      ASSERT_EQ(client.Ask(ServeTag::Kind::kLaunch, encoded.bytes.substr(0, size), encoded.fds), absl::OkStatus());
    } else {
      SendHead(client, {.byte_count = encoded.bytes.size(), .fd_count = static_cast<uint32_t>(encoded.fds.size())},
               encoded.bytes.substr(0, size), encoded.fds);
    }
    EXPECT_FALSE(client.Refusal().ok()) << size;
  }
  EXPECT_TRUE(Serves(server.path()));
}

TEST(HostileTest, AnotherVersionIsRefusedWithBothNumbers) {
  ServerProcess server(Options());
  const RawClient client(server.path());
  ASSERT_EQ(client.Send(ServeTag{.kind = ServeTag::Kind::kAskPolicy, .version = 7}.Encode(), ""), absl::OkStatus());
  const absl::Status refusal = client.Refusal();
  EXPECT_TRUE(absl::IsFailedPrecondition(refusal)) << refusal;
  EXPECT_TRUE(absl::StrContains(refusal.message(), "of version 7, version 1 is spoken here")) << refusal;
}

TEST(HostileTest, AnUnknownKindAndWhatOnlyAServerSaysAreRefused) {
  ServerProcess server(Options());
  for (const uint16_t kind : {0, 2, 4, 5, 7, 99, 65535}) {
    const RawClient client(server.path());
    ASSERT_EQ(client.Ask(static_cast<ServeTag::Kind>(kind)), absl::OkStatus());
    EXPECT_TRUE(absl::IsInvalidArgument(client.Refusal())) << kind;
  }
}

TEST(HostileTest, CountsOfDescriptorsThatDoNotMatchAreRefused) {
  ServerProcess server(Options());
  GoodLaunch good("exit 0");
  const internal::EncodedRemoteLaunch encoded = internal::EncodeRemoteLaunch(good.launch);
  const auto sent = static_cast<uint32_t>(encoded.fds.size());
  for (const uint32_t said : {uint32_t{0}, sent - 1, sent + 1, uint32_t{8192}, uint32_t{8193}, ~uint32_t{0}}) {
    const RawClient client(server.path());
    SendHead(client, {.byte_count = encoded.bytes.size(), .fd_count = said}, encoded.bytes, encoded.fds);
    EXPECT_FALSE(client.Refusal().ok()) << said;
  }
  {
    const RawClient client(server.path());
    SendHead(client, {.byte_count = encoded.bytes.size(), .fd_count = sent, .has_more = 1}, encoded.bytes, encoded.fds);
    EXPECT_FALSE(client.Refusal().ok()) << "a carrier that is no socket";
  }
  std::vector<int> fds = encoded.fds;
  fds.push_back(0);
  const RawClient more(server.path());
  ASSERT_EQ(more.Ask(ServeTag::Kind::kLaunch, encoded.bytes, fds), absl::OkStatus());
  EXPECT_TRUE(absl::StrContains(more.Refusal().message(), "a descriptor came that it does not name"));
  fds.resize(1);
  const RawClient fewer(server.path());
  ASSERT_EQ(fewer.Ask(ServeTag::Kind::kLaunch, encoded.bytes, fds), absl::OkStatus());
  EXPECT_TRUE(absl::StrContains(fewer.Refusal().message(), "a descriptor that came with it"));
  EXPECT_TRUE(Serves(server.path()));
}

TEST(HostileTest, ACarrierThatNeverEndsAndBringsNothingHoldsUpNobody) {
  ServerProcess server(Options());
  GoodLaunch good("exit 0");
  const internal::EncodedRemoteLaunch encoded = internal::EncodeRemoteLaunch(good.launch);
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
  const UniqueFd writer(pair[0]);
  UniqueFd carrier(pair[1]);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (send(writer.get(), "x", 1, MSG_NOSIGNAL) == 1) {
      }
    });
  }
  std::vector<int> fds = {carrier.get()};
  fds.insert(fds.end(), encoded.fds.begin(), encoded.fds.end());
  const RawClient client(server.path());
  SendHead(client, {.byte_count = encoded.bytes.size(), .fd_count = 8192, .has_more = 1}, encoded.bytes, fds);
  carrier.reset();
  EXPECT_TRUE(Serves(server.path()));
  EXPECT_TRUE(absl::StrContains(client.Refusal().message(), "it lacks descriptors"));
  shutdown(writer.get(), SHUT_RDWR);
  for (std::thread& thread : threads) thread.join();
}

TEST(HostileTest, WhatIsTooLargeIsRefusedBeforeItIsRead) {
  ServerProcess server(Options());
  {
    const RawClient client(server.path());
    SendHead(client, {.byte_count = uint64_t{1} << 40}, "");
    EXPECT_FALSE(client.Refusal().ok());
  }
  {
    // As large as it says, and not sealed: its sender could change it while it is read.
    const RawClient client(server.path());
    const UniqueFd memory(memfd_create("request", MFD_CLOEXEC));
    ASSERT_EQ(ftruncate(memory.get(), 1 << 20), 0);
    SendHead(client, {.byte_count = 1 << 20, .in_memory = 1}, "", {memory.get()});
    EXPECT_FALSE(client.Refusal().ok());
  }
  {
    const RawClient client(server.path());
    GoodLaunch good("exit 0");
    good.launch.policy = std::string(size_t{257} << 10, 'x');
    ASSERT_EQ(client.Launch(good.launch), absl::OkStatus());
    EXPECT_TRUE(absl::StrContains(client.Refusal().message(), "policy: 263168 bytes; at most 262144"));
  }
  {
    const RawClient client(server.path());
    GoodLaunch good("exit 0");
    good.launch.environment = std::vector<std::string>(200000, "A=b");
    ASSERT_EQ(client.Launch(good.launch), absl::OkStatus());
    EXPECT_TRUE(absl::StrContains(client.Refusal().message(), "environment: expected at most 131072 words"));
  }
  EXPECT_TRUE(Serves(server.path()));
}

TEST(HostileTest, ARequestThatComesTwiceIsRefusedAndEndsTheFirstOnesChild) {
  ServerProcess server(Options());
  auto [reader, writer] = Pipe();
  GoodLaunch good("echo started; exec sleep 1000");
  good.launch.streams[1].fd = writer.get();
  const RawClient client(server.path());
  ASSERT_EQ(client.Launch(good.launch), absl::OkStatus());
  char text[8];
  ASSERT_EQ(read(reader.get(), text, 8), 8);
  ASSERT_EQ(client.Launch(good.launch), absl::OkStatus());
  writer.reset();
  EXPECT_TRUE(absl::StrContains(client.Refusal().message(), "this connection has had its child"));
  EXPECT_TRUE(HasHungUp(reader.get()));
  EXPECT_TRUE(Serves(server.path()));
}

TEST(HostileTest, ARequestThatComesAfterTheOutcomeIsRefused) {
  ServerProcess server(Options());
  GoodLaunch good("exit 5");
  const RawClient client(server.path());
  ASSERT_EQ(client.Launch(good.launch), absl::OkStatus());
  EXPECT_EQ(client.End().exit_code(), 5);
  ASSERT_EQ(client.Launch(good.launch), absl::OkStatus());
  EXPECT_TRUE(absl::StrContains(client.Refusal().message(), "this connection has had its child"));
}

TEST(HostileTest, AClientThatIsGoneInAnyStateLeavesNothing) {
  ServerProcess server(Options());
  ASSERT_TRUE(Serves(server.path()));
  ASSERT_TRUE(server.AwaitDescriptors(100));
  const size_t before = server.OpenDescriptors();
  enum class State { kConnected, kAsked, kSent, kAccepted, kStarted, kSignaled, kEnded, kLast };
  for (int number = 0; number < static_cast<int>(State::kLast); ++number) {
    const auto state = static_cast<State>(number);
    auto [reader, writer] = Pipe();
    RawClient client(server.path());
    GoodLaunch good(state == State::kEnded ? "exit 0" : "echo started; sleep 1000 & wait");
    good.launch.streams[1].fd = writer.get();
    if (state >= State::kAsked) {
      ASSERT_EQ(client.Ask(ServeTag::Kind::kAskPolicy), absl::OkStatus());
    }
    if (state >= State::kSent) {
      ASSERT_EQ(client.Launch(good.launch), absl::OkStatus());
    }
    writer.reset();
    good.CloseTheirs();
    char text[8];
    if (state >= State::kAccepted) {
      ASSERT_GT(recv(good.control(), text, sizeof(text), 0), 0);
    }
    if (state >= State::kStarted && state < State::kEnded) {
      ASSERT_EQ(read(reader.get(), text, 8), 8);
    }
    if (state == State::kSignaled) {
      GuardianCommand command;
      command.signal = SIGUSR1;
      ASSERT_GT(send(good.control(), &command, sizeof(command), 0), 0);
    }
    if (state == State::kEnded) {
      ASSERT_TRUE(HasHungUp(reader.get()));
    }
    client.Close();
    good.Close();
    EXPECT_TRUE(HasHungUp(reader.get())) << number;
    EXPECT_TRUE(server.AwaitDescriptors(before)) << number << ": " << server.OpenDescriptors() << " instead of " << before;
  }
  EXPECT_TRUE(Serves(server.path()));
}

TEST(HostileTest, TheEndOfTheControlSocketAloneEndsTheChildWhichIsTold) {
  ServerProcess server(Options());
  GoodLaunch good("exec sleep 1000");
  const RawClient client(server.path());
  ASSERT_EQ(client.Launch(good.launch), absl::OkStatus());
  good.Close();
  EXPECT_EQ(client.End().exit_code(), -SIGKILL);
}

TEST(HostileTest, WhatIsNoCommandEndsTheChild) {
  ServerProcess server(Options());
  for (const size_t size : {size_t{1}, sizeof(GuardianCommand), size_t{5000}}) {
    GoodLaunch good("exec sleep 1000");
    const RawClient client(server.path());
    ASSERT_EQ(client.Launch(good.launch), absl::OkStatus());
    const std::string bytes(size, 'x');
    ASSERT_GT(send(good.control(), bytes.data(), bytes.size(), 0), 0);
    EXPECT_EQ(client.End().exit_code(), -SIGKILL) << size;
  }
}

TEST(HostileTest, AForkOfADeadClientThatHoldsItsConnectionDoesNotKeepTheChild) {
  ServerProcess server(Options());
  auto [reader, writer] = Pipe();
  auto [held, holder] = Pipe();
  const pid_t pid = fork();
  if (pid == 0) {
    RawClient client(server.path());
    GoodLaunch good("echo started; exec sleep 1000");
    good.launch.streams[1].fd = writer.get();
    if (!client.Launch(good.launch).ok()) _exit(1);
    holder.reset();
    // It has what its parent has, and lives on.
    if (fork() == 0) {
      writer.reset();
      char byte;
      (void)!read(held.get(), &byte, 1);
      _exit(0);
    }
    pause();
    _exit(0);
  }
  writer.reset();
  char text[8];
  ASSERT_EQ(read(reader.get(), text, 8), 8);
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  ASSERT_EQ(waitpid(pid, nullptr, 0), pid);
  EXPECT_TRUE(HasHungUp(reader.get()));
}

TEST(HostileTest, AThousandConnectionsThatSendNothingDelayNobody) {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < 2200) GTEST_SKIP() << "needs 2,200 descriptors, the hard limit is " << limit.rlim_max;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  ServerProcess server(Options());
  std::vector<RawClient> silent;
  for (int i = 0; i < 1000; ++i) silent.emplace_back(server.path());
  // Their deadline is an hour away.
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Serves(server.path()));
  // They were not dropped for that either.
  for (const RawClient& one : silent) {
    pollfd polled = {one.get(), POLLIN, 0};
    ASSERT_EQ(poll(&polled, 1, 0), 0);
  }
}

TEST(HostileTest, OfTooManyConnectionsThatSendNothingTheOldestGoes) {
  ServeOptions options = Options();
  options.max_waiting = 10;
  ServerProcess server(options);
  std::vector<RawClient> silent;
  for (int i = 0; i < 11; ++i) silent.emplace_back(server.path());
  EXPECT_TRUE(absl::IsResourceExhausted(silent[0].Refusal()));
  EXPECT_TRUE(Serves(server.path()));
}

TEST(HostileTest, ConnectionsThatUseUpTheDescriptorsGiveThemUpForOneThatAsks) {
  ServerProcess server(Options(), 64);
  std::vector<RawClient> silent;
  for (int i = 0; i < 200; ++i) silent.emplace_back(server.path());
  // Those that came last hold what is left, and one that asks has a turn only as one of these.
  silent.erase(silent.begin() + 150, silent.end());
  const RawClient client(server.path());
  ASSERT_EQ(client.Ask(ServeTag::Kind::kAskPolicy), absl::OkStatus());
  EXPECT_EQ(client.Next().kind, ServeTag::Kind::kPolicy);
}

TEST(HostileTest, AConnectionThatAsksForNothingEndsAtItsDeadline) {
  ServeOptions options = Options();
  options.patience = absl::Milliseconds(200);
  ServerProcess server(options);
  const RawClient silent(server.path());
  const RawClient asks(server.path());
  ASSERT_EQ(asks.Ask(ServeTag::Kind::kAskPolicy), absl::OkStatus());
  EXPECT_EQ(asks.Next().kind, ServeTag::Kind::kPolicy);
  EXPECT_TRUE(absl::IsDeadlineExceeded(silent.Refusal()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(asks.Refusal()));  // A question is not a request.
  EXPECT_TRUE(Serves(server.path()));
}

TEST(HostileTest, AChildOutlivesTheDeadlineOfRequests) {
  ServeOptions options = Options();
  options.patience = absl::Milliseconds(100);
  ServerProcess server(options);
  auto [reader, writer] = Pipe();
  GoodLaunch good("read line; exit 4");
  good.launch.streams[0].fd = reader.get();
  const RawClient client(server.path());
  ASSERT_EQ(client.Launch(good.launch), absl::OkStatus());
  const RawClient silent(server.path());
  EXPECT_TRUE(absl::IsDeadlineExceeded(silent.Refusal()));  // It has passed.
  ASSERT_EQ(write(writer.get(), "x\n", 2), 2);
  EXPECT_EQ(client.End().exit_code(), 4);
}

TEST(HostileTest, AClientThatReadsNoAnswersLosesItsConnectionOnly) {
  ServerProcess server(Options());
  const RawClient deaf(server.path());
  bool lost = false;
  for (int i = 0; i < 100000 && !lost; ++i) lost = !deaf.Ask(ServeTag::Kind::kAskPolicy).ok();
  EXPECT_TRUE(lost);
  EXPECT_TRUE(Serves(server.path()));
}

TEST(HostileTest, CommandsWithoutEndDelayNobody) {
  ServerProcess server(Options());
  auto [reader, writer] = Pipe();
  GoodLaunch good("trap '' USR1; echo ignored; while :; do sleep 1000; done");
  good.launch.streams[1].fd = writer.get();
  const RawClient client(server.path());
  ASSERT_EQ(client.Launch(good.launch), absl::OkStatus());
  good.CloseTheirs();
  char text[8];
  ASSERT_EQ(read(reader.get(), text, 8), 8);
  GuardianCommand command;
  command.signal = SIGUSR1;
  for (int i = 0; i < 20000; ++i) {
    pollfd polled = {good.control(), POLLOUT, 0};
    ASSERT_EQ(poll(&polled, 1, kWaitMs), 1);
    ASSERT_GT(send(good.control(), &command, sizeof(command), 0), 0);
    if (i % 2000 == 0) {
      ASSERT_TRUE(Serves(server.path()));
    }
  }
  EXPECT_TRUE(Serves(server.path()));
}

// A connection over the loopback that the last close of waits for: its peer reads nothing of what is on the way. socket(7), SO_LINGER
class Lingering {
 public:
  Lingering() {
    const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener.get(), any, size), 0);
    EXPECT_EQ(listen(listener.get(), 1), 0);
    EXPECT_EQ(getsockname(listener.get(), any, &size), 0);
    socket_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(socket_.get(), any, size), 0);
    peer_.reset(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const linger patience = {.l_onoff = 1, .l_linger = 1000};
    EXPECT_EQ(setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &patience, sizeof(patience)), 0);
    const std::string bytes(1 << 16, 'x');
    while (send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
    }
  }
  int get() const { return socket_.get(); }
  void LeaveToOthers() { socket_.reset(); }

 private:
  UniqueFd socket_, peer_;
};

// Sends it before the server looks, and leaves it to that, whose close is the last one then.
void WhileItIsStopped(const ServerProcess& server, Lingering& lingering, const std::function<void()>& send) {
  ASSERT_EQ(kill(server.pid(), SIGSTOP), 0);
  send();
  lingering.LeaveToOthers();
  ASSERT_EQ(kill(server.pid(), SIGCONT), 0);
}

TEST(HostileTest, ADescriptorWhoseCloseWaitsHoldsUpNobody) {
  ServerProcess server(Options());
  Lingering asked, unread, commanded;
  WhileItIsStopped(server, asked, [&] {
    const RawClient client(server.path());
    EXPECT_EQ(client.Ask(internal::ServeTag::Kind::kAskStatus, "", {asked.get()}), absl::OkStatus());
  });
  EXPECT_TRUE(Serves(server.path())) << "after one that came with a request";
  WhileItIsStopped(server, unread, [&] {
    const RawClient client(server.path());
    EXPECT_EQ(client.Send(0, "garbage"), absl::OkStatus());
    EXPECT_EQ(client.Send(0, "more", {unread.get()}), absl::OkStatus());
  });
  EXPECT_TRUE(Serves(server.path())) << "after one that was not read any more";
  GoodLaunch good("sleep 1000");
  const RawClient client(server.path());
  EXPECT_EQ(client.Launch(good.launch), absl::OkStatus());
  char note[256];
  ASSERT_GT(recv(good.control(), note, sizeof(note), 0), 0);  // It has its child.
  WhileItIsStopped(server, commanded, [&] {
    const iovec part = {note, 1};
    const int fd = commanded.get();
    EXPECT_EQ(child::SendWithFds(good.control(), &part, 1, &fd, 1, 0), 1);
  });
  EXPECT_TRUE(Serves(server.path())) << "after one that came with what is no command";
  EXPECT_EQ(client.End().StatusWord(), "signaled");
}

// --- users ---

// What `body`, which is 0 if all is well, gives as another user.
int AsNobody(const std::function<int()>& body) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (setgroups(0, nullptr) != 0 || setgid(65534) != 0 || setuid(65534) != 0) _exit(99);
    _exit(body());
  }
  int status = -1;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class OtherUserTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  }
};

TEST_F(OtherUserTest, AnotherUserCannotEvenConnect) {
  ServerProcess server(Options());
  EXPECT_EQ(AsNobody([&] { return absl::IsPermissionDenied(internal::ConnectToServer(server.path(), 0).status()) ? 0 : 1; }), 0);
}

TEST_F(OtherUserTest, AnotherUserIsRefusedWhateverTheModeOfTheSocket) {
  ServerProcess server(Options());
  ASSERT_EQ(chmod(server.path().c_str(), 0666), 0);
  EXPECT_EQ(AsNobody([&] {
              const RawClient client(server.path());
              const absl::Status refusal = client.Refusal();
              return absl::IsPermissionDenied(refusal) && absl::StrContains(refusal.message(), "user 65534 is not served here") ? 0 : 1;
            }),
            0);
  EXPECT_TRUE(Serves(server.path()));
}

TEST_F(OtherUserTest, AUserWhoIsAllowedIsServedWithPipesAndRefusedWithFiles) {
  ServeOptions options = Options();
  options.other_users = {65534};
  ServerProcess server(options);
  const auto refused = [&](int fd) {
    const RawClient client(server.path());
    GoodLaunch good("exit 0");
    good.launch.inherited = {{.fd = fd, .child_fd = 7}};
    if (!client.Launch(good.launch).ok()) return false;
    return absl::IsPermissionDenied(client.Refusal());
  };
  EXPECT_EQ(AsNobody([&] {
              if (!Serves(server.path())) return 1;
              const auto [reader, writer] = Pipe();
              const RawClient client(server.path());
              GoodLaunch good("echo x");
              good.launch.streams[1].fd = writer.get();
              if (!client.Launch(good.launch).ok() || client.End().exit_code() != 0) return 2;
              if (!refused(UniqueFd(open("/etc/passwd", O_RDONLY)).get())) return 3;
              if (!refused(UniqueFd(open("/", O_RDONLY | O_DIRECTORY)).get())) return 4;
              if (!refused(UniqueFd(open("/etc/passwd", O_PATH)).get())) return 5;
              if (!refused(UniqueFd(socket(AF_UNIX, SOCK_STREAM, 0)).get())) return 6;
              return 0;
            }),
            0);
}

TEST_F(OtherUserTest, AClientGivesItsRequestToNobodyWhomItDoesNotKnow) {
  // A server of another user's, for this one.
  char folder[] = "/tmp/serve_test.XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  ASSERT_EQ(chown(folder, 65534, 65534), 0);
  const std::string path = absl::StrCat(folder, "/s");
  auto [reader, writer] = Pipe();
  const pid_t pid = fork();
  if (pid == 0) {
    if (setgroups(0, nullptr) != 0 || setgid(65534) != 0 || setuid(65534) != 0) _exit(99);
    ServeOptions options = Options();
    options.socket = path;
    options.other_users = {0};
    options.policy = BuiltinPolicy("none").value();
    absl::StatusOr<std::unique_ptr<ServeServer>> server = ServeServer::Create(options);
    (void)!write(writer.get(), server.ok() ? "y" : "n", 1);
    const auto [stop, stop_writer] = Pipe();
    if (server.ok()) (void)(*server)->Run(stop.get());
    _exit(1);
  }
  char ready = 0;
  ASSERT_EQ(read(reader.get(), &ready, 1), 1);
  ASSERT_EQ(ready, 'y');
  const absl::Status unknown = PolicyOfServer(path).status();
  EXPECT_TRUE(absl::IsPermissionDenied(unknown)) << unknown;
  EXPECT_TRUE(absl::StrContains(unknown.message(), "is of user 65534, who would get this environment")) << unknown;
  EXPECT_TRUE(PolicyOfServer(path, 65534).ok());
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  unlink(path.c_str());
  rmdir(folder);
}

}  // namespace
}  // namespace brood
