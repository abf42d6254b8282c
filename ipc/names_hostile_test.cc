// Clients of a broker of names that send what they should not, or nothing, or too much: nobody else notices.
#include "ipc/names.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bootstrap/bootstrap.h"
#include "gtest/gtest.h"
#include "ipc/names_protocol.h"
#include "ipc/talking_child.h"

namespace brood {
namespace {

using internal::NamesAnswer;
using internal::NamesOperation;

constexpr absl::Duration kAtOnce = absl::Seconds(20);  // Less than Names waits, and than anything here lingers.

std::pair<UniqueFd, UniqueFd> Sockets(int type = SOCK_SEQPACKET) {
  int pair[2] = {-1, -1};
  EXPECT_EQ(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
  return {UniqueFd(pair[0]), UniqueFd(pair[1])};
}

std::string Packet(NamesOperation operation, const std::string& name) {
  return std::string(reinterpret_cast<const char*>(&operation), sizeof(operation)) + name;
}

bool SendRaw(int channel, const std::string& packet, const std::vector<int>& handles, int flags = 0) {
  iovec piece = {.iov_base = const_cast<char*>(packet.data()), .iov_len = packet.size()};
  std::vector<char> control(CMSG_SPACE(handles.size() * sizeof(int)));
  msghdr header = {};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  if (!handles.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(handles.size() * sizeof(int));
    std::copy(handles.begin(), handles.end(), reinterpret_cast<int*>(CMSG_DATA(part)));
  }
  return sendmsg(channel, &header, MSG_NOSIGNAL | flags) >= 0;
}

bool Ends(int fd) {
  pollfd poll_fd = {.fd = fd, .events = POLLIN, .revents = 0};
  char byte;
  return poll(&poll_fd, 1, 60'000) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

class NamesHostileTest : public testing::Test {
 protected:
  void SetUp() override {
    names_ = Names::Create().value();
    channel_ = names_.Descriptor().value();
    ucred peer = {};
    socklen_t size = sizeof(peer);
    ASSERT_EQ(getsockopt(channel_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
    broker_pid_ = peer.pid;
    broker_.reset(static_cast<int>(syscall(SYS_pidfd_open, peer.pid, 0)));
    ASSERT_TRUE(names_.CreateMemory("mine", 10).ok());
  }
  // The broker has nothing of what was sent, serves on, and ends with the last handle.
  void TearDown() override {
    channel_.reset();
    const absl::Time start = absl::Now();
    EXPECT_TRUE(names_.OpenMemory("mine").ok());
    EXPECT_LT(absl::Now() - start, kAtOnce);
    const absl::Time deadline = start + absl::Seconds(60);
    constexpr size_t kHeld = 5;  // Three streams, our channel, our memory.
    while (BrokersDescriptors() != kHeld && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(1));
    EXPECT_EQ(BrokersDescriptors(), kHeld);
    names_ = Names();
    pollfd ended = {.fd = broker_.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&ended, 1, 60'000), 1) << "the broker lives on";
  }

  size_t BrokersDescriptors() const {
    size_t count = 0;
    const std::filesystem::directory_iterator folder(absl::StrCat("/proc/", broker_pid_, "/fd"));
    for ([[maybe_unused]] const auto& entry : folder) ++count;
    return count;
  }

  Names names_;
  UniqueFd channel_;  // The hostile client's.
  UniqueFd broker_;
  pid_t broker_pid_ = 0;
};

TEST_F(NamesHostileTest, GarbageEndsItsOwnChannelOnly) {
  const auto [mine, theirs] = Sockets();
  const std::vector<std::string> packets = {
      "x",
      Packet(NamesOperation::kOpen, ""),
      Packet(NamesOperation::kShare, "named"),
      Packet(NamesOperation::kCreate, "no memory"),
      Packet(NamesOperation::kOpen, std::string(256, 'n')),
      Packet(static_cast<NamesOperation>(0), "n"),
      Packet(static_cast<NamesOperation>(77), "n"),
      std::string(100'000, '\xff'),
  };
  for (const std::string& packet : packets) {
    const UniqueFd channel = names_.Descriptor().value();
    ASSERT_TRUE(SendRaw(channel.get(), packet, {theirs.get()}));
    EXPECT_TRUE(Ends(channel.get())) << packet.substr(0, 20);
  }
  const UniqueFd channel = names_.Descriptor().value();
  ASSERT_TRUE(SendRaw(channel.get(), Packet(NamesOperation::kOpen, "mine"), {}));
  EXPECT_TRUE(Ends(channel.get())) << "without a socket for the answer";
}

TEST_F(NamesHostileTest, ASilentOneAndOneThatTakesNoAnswersDelayNobody) {
  // Answers that nobody takes: as many requests as the channel holds, into one socket that is soon full.
  const auto [mine, theirs] = Sockets();
  for (int i = 0; i < 5000; ++i) SendRaw(channel_.get(), Packet(NamesOperation::kUnlink, "none"), {theirs.get()}, MSG_DONTWAIT);
  const absl::Time start = absl::Now();
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(names_.OpenMemory("mine").ok());
  EXPECT_LT(absl::Now() - start, kAtOnce);
}

TEST_F(NamesHostileTest, OneThatAsksWithoutEndDelaysNobody) {
  TalkingChild asks([&](const TalkingChild::Parent& parent) {
    const auto [mine, theirs] = Sockets();
    parent.Say('a');
    for (;;) SendRaw(channel_.get(), Packet(NamesOperation::kUnlink, "none"), {theirs.get()});
    return 0;
  });
  ASSERT_EQ(asks.Await(), 'a');
  const absl::Time start = absl::Now();
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(names_.OpenMemory("mine").ok());
  EXPECT_LT(absl::Now() - start, kAtOnce);
  asks.Kill();
}

TEST_F(NamesHostileTest, AChannelThatIsShutDownIsItsOwnOnly) { ASSERT_EQ(shutdown(channel_.get(), SHUT_RDWR), 0); }

// Its own end, held by the broker as a memory, would keep the broker alive for ever.
TEST_F(NamesHostileTest, OnlyMemoryCanHaveAName) {
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const UniqueFd unsealed(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  for (const bool own : {true, false, false}) {
    const UniqueFd channel = names_.Descriptor().value();
    const int memory = own ? channel.get() : null.get();
    const auto [mine, theirs] = Sockets();
    ASSERT_TRUE(SendRaw(channel.get(), Packet(NamesOperation::kCreate, "n"), {theirs.get(), memory}));
    EXPECT_TRUE(Ends(channel.get()));
  }
  const auto [mine, theirs] = Sockets();
  ASSERT_TRUE(SendRaw(channel_.get(), Packet(NamesOperation::kCreate, "n"), {theirs.get(), unsealed.get()}));
  EXPECT_TRUE(Ends(channel_.get()));
  EXPECT_TRUE(absl::IsNotFound(names_.OpenMemory("n").status()));
}

TEST_F(NamesHostileTest, MemoryThatIsNoSharedMemoryIsRefusedByWhoOpensIt) {
  const UniqueFd file(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(write(file.get(), "garbage", 7), 7);
  ASSERT_EQ(fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
  const auto [mine, theirs] = Sockets();
  ASSERT_TRUE(SendRaw(channel_.get(), Packet(NamesOperation::kCreate, "n"), {theirs.get(), file.get()}));
  NamesAnswer answer = {};
  ASSERT_EQ(recv(mine.get(), &answer, sizeof(answer), 0), static_cast<ssize_t>(sizeof(answer)));
  EXPECT_EQ(answer, NamesAnswer::kOk);
  EXPECT_TRUE(absl::IsInvalidArgument(names_.OpenMemory("n").status()));
  EXPECT_EQ(names_.Unlink("n"), absl::OkStatus());
}

TEST_F(NamesHostileTest, ManyDescriptorsInOneRequestStayNowhere) {
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(SendRaw(channel_.get(), Packet(NamesOperation::kOpen, "mine"), std::vector<int>(253, null.get())));
  EXPECT_TRUE(Ends(channel_.get()));
}

// Its last close waits until the peer has taken everything, or a minute has passed.
TEST_F(NamesHostileTest, ASocketThatLingersDelaysNobody) {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  UniqueFd lingers(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(lingers.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  const UniqueFd never_reads(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const std::string much(64 << 10, 'x');
  while (send(lingers.get(), much.data(), much.size(), MSG_DONTWAIT) > 0) {
  }
  const linger minute = {.l_onoff = 1, .l_linger = 60};
  ASSERT_EQ(setsockopt(lingers.get(), SOL_SOCKET, SO_LINGER, &minute, sizeof(minute)), 0);
  ASSERT_TRUE(SendRaw(channel_.get(), Packet(NamesOperation::kOpen, "mine"), {lingers.get()}));
  lingers.reset();  // The broker may have the last copy now.
  const absl::Time start = absl::Now();
  EXPECT_TRUE(names_.OpenMemory("mine").ok());
  EXPECT_LT(absl::Now() - start, kAtOnce);
}

TEST_F(NamesHostileTest, NamesHaveABound) {
  std::vector<std::string> created;
  absl::Status status;
  while (status.ok() && created.size() <= Names::kMaxNames) {
    created.push_back(absl::StrCat("n", created.size()));
    status = names_.CreateMemory(created.back(), 1).status();
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_LE(created.size(), Names::kMaxNames);
  created.pop_back();
  ASSERT_EQ(names_.Unlink(created.back()), absl::OkStatus());
  EXPECT_TRUE(names_.CreateMemory(created.back(), 1).ok());
  for (const std::string& name : created) EXPECT_EQ(names_.Unlink(name), absl::OkStatus());
}

TEST_F(NamesHostileTest, HandlesHaveABoundAndThoseThatAreThereWorkOn) {
  rlimit files = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  if (files.rlim_max < 4 * Names::kMaxHolders) GTEST_SKIP() << "few descriptors are allowed: " << files.rlim_max;
  files.rlim_cur = files.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  std::vector<UniqueFd> channels;
  absl::StatusOr<UniqueFd> channel = UniqueFd();
  while (channel.ok() && channels.size() <= Names::kMaxHolders) {
    channel = names_.Descriptor();
    if (channel.ok()) channels.push_back(*std::move(channel));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(channel.status())) << channel.status();
  EXPECT_GE(channels.size(), Names::kMaxHolders - 3);  // And ours; and the first one, whose end may not be seen yet.
  EXPECT_TRUE(names_.CreateMemory("another", 1).ok());
  EXPECT_EQ(names_.Unlink("another"), absl::OkStatus());
}

TEST(NamesTypeTest, WhatIsNoChannelIsRefusedAndAFalseBrokerBelievedNothing) {
  EXPECT_TRUE(absl::IsInvalidArgument(Names::FromDescriptor(UniqueFd()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Names::FromDescriptor(Sockets(SOCK_STREAM).first).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      Names::FromDescriptor(UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC))).status()));

  auto [ours, brokers] = Sockets();
  const Names names = Names::FromDescriptor(std::move(ours)).value();
  std::thread broker([&, socket = std::move(brokers)] {
    for (const std::string& says : {std::string("?"), std::string(100, '\xff'), Packet(NamesOperation{1}, "")}) {
      char request[64];
      alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
      iovec piece = {.iov_base = request, .iov_len = sizeof(request)};
      msghdr header = {};
      header.msg_iov = &piece;
      header.msg_iovlen = 1;
      header.msg_control = control;
      header.msg_controllen = sizeof(control);
      ASSERT_GT(recvmsg(socket.get(), &header, MSG_CMSG_CLOEXEC), 0);
      const UniqueFd answer(*reinterpret_cast<int*>(CMSG_DATA(CMSG_FIRSTHDR(&header))));
      ASSERT_EQ(send(answer.get(), says.data(), says.size(), 0), static_cast<ssize_t>(says.size()));
    }
  });
  for (int i = 0; i < 3; ++i) {
    const absl::StatusOr<SharedMemory> memory = names.OpenMemory("n");
    EXPECT_FALSE(memory.ok());
    EXPECT_FALSE(absl::IsNotFound(memory.status()) || absl::IsUnavailable(memory.status())) << memory.status();
  }
  broker.join();
  EXPECT_TRUE(absl::IsUnavailable(names.OpenMemory("n").status()));
}

TEST(NamesTypeTest, AnEmptyHandleIsFailedPrecondition) {
  EXPECT_TRUE(absl::IsFailedPrecondition(Names().OpenMemory("n").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Names().Descriptor().status()));
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) {
  brood::Bootstrap(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
