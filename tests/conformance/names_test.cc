// Names for shared memory (_TestSharedMemory, TestResourceTracker). CPython's are files that a tracker must unlink; these
// live in a broker, and with it: whoever is killed, nothing stays behind.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "ipc/names.h"
#include "ipc/pipe.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

std::string TextIn(const SharedMemory& memory) { return reinterpret_cast<const char*>(memory.bytes().data()); }
void Put(const SharedMemory& memory, const std::string& text) {
  std::memcpy(memory.mutable_bytes().data(), text.c_str(), text.size() + 1);
}

absl::Status CreateNamed(const Names& names, const std::string& name, const std::string& text) {
  BROOD_ASSIGN_OR_RETURN(const SharedMemory memory, names.CreateMemory(name, 100));
  Put(memory, text);
  return absl::OkStatus();
}
BROOD_TARGET(CreateNamed);

absl::StatusOr<std::string> ReadNamed(const Names& names, const std::string& name) {
  BROOD_ASSIGN_OR_RETURN(const SharedMemory memory, names.OpenMemory(name));
  return TextIn(memory);
}
BROOD_TARGET(ReadNamed);

absl::Status UnlinkNamed(const Names& names, const std::string& name) { return names.Unlink(name); }
BROOD_TARGET(UnlinkNamed);

absl::StatusOr<std::string> ReadNamedInAGrandchild(int method, const Names& names, const std::string& name) {
  return Context(static_cast<StartMethod>(method)).Call(ReadNamed, names, name);
}
BROOD_TARGET(ReadNamedInAGrandchild);

void HoldNamed(const Names& names, const UniqueFd& pipe) {
  const absl::StatusOr<SharedMemory> memory = names.CreateMemory("held", 100);
  if (memory.ok()) Put(*memory, "by a child");
  WriteByte(pipe, memory.ok() ? 'r' : 'x');
  Sleep();
}
BROOD_TARGET(HoldNamed);

// The broker's process: it has made the channels that it gives out. unix(7), SO_PEERCRED.
pid_t BrokerOf(const Names& names) {
  const UniqueFd channel = names.Descriptor().value();
  ucred peer = {};
  socklen_t size = sizeof(peer);
  EXPECT_EQ(getsockopt(channel.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
  return peer.pid;
}

size_t DescriptorsOf(pid_t pid) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(absl::StrCat("/proc/", pid, "/fd"))) ++count;
  return count;
}

class NamesTest : public ConformanceTest {
 protected:
  void SetUp() override {
    ConformanceTest::SetUp();
    names_ = Names::Create().value();
    broker_pid_ = BrokerOf(names_);
    broker_ = OpenPid(broker_pid_);
    ASSERT_TRUE(broker_.valid());
  }
  // Each test ends with no handle left, and then there is no broker, and no file in /dev/shm.
  void TearDown() override {
    names_ = Names();
    EXPECT_TRUE(IsReadable(broker_.get(), kPatienceMs)) << "the broker lives on";
    broker_.reset();
    if (std::filesystem::exists("/dev/shm")) {
      for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
        EXPECT_EQ(entry.path().string().find("brood"), std::string::npos) << entry.path();
      }
    }
    ConformanceTest::TearDown();
  }

  // Until the broker has `count` descriptors: it sees the end of a channel in its own time.
  void ExpectBrokerToHold(size_t count) {
    const absl::Time deadline = absl::Now() + absl::Milliseconds(kPatienceMs);
    while (DescriptorsOf(broker_pid_) != count && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(1));
    EXPECT_EQ(DescriptorsOf(broker_pid_), count);
  }

  Names names_;
  UniqueFd broker_;
  pid_t broker_pid_ = 0;
};
BROOD_FOR_EACH_START_METHOD(NamesTest);

TEST_P(NamesTest, WhatOneProcessCreatesTheOthersOpen) {
  ASSERT_EQ(CreateNamed(names_, "table", "of the parent"), absl::OkStatus());
  EXPECT_EQ(context_.Call(ReadNamed, names_, std::string("table")).value(), "of the parent");
  ASSERT_EQ(context_.Call(CreateNamed, names_, std::string("list"), std::string("of a child")), absl::OkStatus());
  EXPECT_EQ(ReadNamed(names_, "list").value(), "of a child");  // Its creator has ended.
  EXPECT_EQ(context_.Call(ReadNamedInAGrandchild, method(), names_, std::string("list")).value(), "of a child");
}

TEST_P(NamesTest, ATakenNameIsAlreadyExistsAndAnUnknownOneNotFound) {
  ASSERT_EQ(CreateNamed(names_, "taken", "first"), absl::OkStatus());
  const std::string taken = "taken", unknown = "unknown";
  EXPECT_EQ(context_.Call(CreateNamed, names_, taken, std::string("second")).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(context_.Call(ReadNamed, names_, unknown).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(context_.Call(UnlinkNamed, names_, unknown).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadNamed(names_, "taken").value(), "first");
}

TEST_P(NamesTest, AnUnlinkedNameIsFreeAndItsMemoryStaysWithThoseWhoHaveIt) {
  const SharedMemory memory = names_.CreateMemory("name", 100).value();
  ASSERT_EQ(context_.Call(UnlinkNamed, names_, std::string("name")), absl::OkStatus());
  EXPECT_EQ(names_.Unlink("name").code(), absl::StatusCode::kNotFound);
  ASSERT_EQ(context_.Call(CreateNamed, names_, std::string("name"), std::string("another")), absl::OkStatus());
  Put(memory, "still here");
  EXPECT_EQ(TextIn(memory), "still here");
  EXPECT_EQ(ReadNamed(names_, "name").value(), "another");
}

TEST_P(NamesTest, ANameMayHaveAnyBytesBut1To255OfThem) {
  for (const std::string& name : {std::string("a:b\nc/../d"), std::string("\0x", 2), std::string("\xff"), std::string(255, 'n')}) {
    ASSERT_EQ(CreateNamed(names_, name, "found"), absl::OkStatus());
    EXPECT_EQ(context_.Call(ReadNamed, names_, name).value(), "found");
  }
  for (const std::string& name : {std::string(), std::string(256, 'n')}) {
    EXPECT_EQ(context_.Call(CreateNamed, names_, name, std::string("x")).code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST_P(NamesTest, OfManyWhoCreateOneNameOneSucceeds) {
  std::vector<Process> processes;
  for (int i = 0; i < 8; ++i) {
    processes.push_back(context_.Start(CreateNamed, names_, std::string("one"), absl::StrCat("of ", i)).value());
  }
  std::vector<std::string> winners;
  for (int i = 0; i < 8; ++i) {
    const absl::Status status = processes[static_cast<size_t>(i)].Result<void>();
    if (status.ok()) winners.push_back(absl::StrCat("of ", i));
    EXPECT_TRUE(status.ok() || absl::IsAlreadyExists(status)) << status;
  }
  ASSERT_EQ(winners.size(), 1u);
  EXPECT_EQ(ReadNamed(names_, "one").value(), winners[0]);
}

TEST_P(NamesTest, AClientThatIsKilledLeavesWhatItNamedAndNoChannel) {
  constexpr size_t kIdle = 4;  // Three streams, our channel.
  RawPipe pipe;
  Process process = context_.Start(HoldNamed, names_, pipe.writer).value();
  pipe.writer.reset();
  char byte = 0;
  ASSERT_EQ(read(pipe.reader.get(), &byte, 1), 1);
  ASSERT_EQ(byte, 'r');
  ASSERT_EQ(process.Kill(), absl::OkStatus());
  ASSERT_TRUE(process.Join().ok());
  ExpectBrokerToHold(kIdle + 1);  // The memory.
  EXPECT_EQ(ReadNamed(names_, "held").value(), "by a child");
  ASSERT_EQ(names_.Unlink("held"), absl::OkStatus());
  ExpectBrokerToHold(kIdle);
}

TEST_P(NamesTest, AKilledBrokerIsUnavailableAndOpenMemoryStays) {
  const SharedMemory memory = names_.CreateMemory("name", 100).value();
  ASSERT_EQ(kill(broker_pid_, SIGKILL), 0);
  ASSERT_TRUE(IsReadable(broker_.get(), kPatienceMs));
  EXPECT_EQ(names_.OpenMemory("name").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(names_.CreateMemory("other", 1).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(names_.Unlink("name").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(names_.Descriptor().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(context_.Start(ReadNamed, names_, std::string("name")).ok());
  Put(memory, "still here");
  EXPECT_EQ(TextIn(memory), "still here");
}

TEST_P(NamesTest, SignalsForTheCreatorsGroupDoNotEndTheBroker) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ASSERT_EQ(kill(broker_pid_, number), 0);
  EXPECT_EQ(context_.Call(CreateNamed, names_, std::string("name"), std::string("text")), absl::OkStatus());
  EXPECT_NE(getsid(broker_pid_), getsid(0));
}

// Processes that make names of their own, each told by the pipe on which it sends them.
class NamesOwnerTest : public ConformanceTest {
 protected:
  struct Owner {
    pid_t pid = -1;
    std::optional<Names> names;
    UniqueFd broker;
  };

  // Forks a process that runs `before`, makes names, runs `body` with them, sends them, and sleeps.
  Owner StartOwner(const std::function<void(const Names&)>& body, const std::function<void()>& before = [] {}) {
    auto [mine, theirs] = Pipe().value();
    Owner owner;
    owner.pid = fork();
    if (owner.pid == 0) {
      mine.Close();
      before();
      const Names names = Names::Create().value();
      body(names);
      (void)theirs.Send(names);
      Sleep();
    }
    theirs.Close();
    absl::StatusOr<Names> names = mine.Receive<Names>();
    EXPECT_TRUE(names.ok()) << names.status();
    if (!names.ok()) return owner;
    owner.names = *std::move(names);
    owner.broker = OpenPid(BrokerOf(*owner.names));
    return owner;
  }

  void Kill(const Owner& owner) {
    ASSERT_EQ(kill(owner.pid, SIGKILL), 0);
    ASSERT_EQ(waitpid(owner.pid, nullptr, 0), owner.pid);
  }
};
BROOD_FOR_EACH_START_METHOD(NamesOwnerTest);

TEST_P(NamesOwnerTest, NamesOutliveTheirCreatorAsLongAsSomebodyHasThem) {
  Owner owner = StartOwner([](const Names& names) { (void)CreateNamed(names, "left", "by the creator"); });
  Kill(owner);
  EXPECT_EQ(context_.Call(ReadNamed, *owner.names, std::string("left")).value(), "by the creator");
  EXPECT_FALSE(IsReadable(owner.broker.get()));
  owner.names.reset();
  EXPECT_TRUE(IsReadable(owner.broker.get(), kPatienceMs));
}

TEST_P(NamesOwnerTest, AKilledCreatorWhoseChildrenHaveTheNamesLeavesNothing) {
  RawPipe pipe;
  Owner owner = StartOwner([&](const Names& names) {
    new Process(context_.Start(HoldNamed, names, pipe.writer).value());
    char byte = 0;
    (void)!read(pipe.reader.get(), &byte, 1);
  });
  pipe.writer.reset();
  owner.names.reset();
  EXPECT_FALSE(IsReadable(owner.broker.get()));
  Kill(owner);
  EXPECT_TRUE(EndsWithinPatience(pipe.reader.get()));  // The child.
  EXPECT_TRUE(IsReadable(owner.broker.get(), kPatienceMs));
}

// Whoever reads its creator's output, or a pipe that it left to its children, sees the end.
TEST_P(NamesOwnerTest, TheBrokerHoldsNothingOfItsCreator) {
  RawPipe pipe;
  Owner owner = StartOwner([](const Names&) {},
                           [&] {
                             dup2(pipe.writer.get(), STDOUT_FILENO);
                             dup2(pipe.writer.get(), STDERR_FILENO);
                             (void)!dup(pipe.writer.get());  // Not close-on-exec.
                           });
  pipe.writer.reset();
  Kill(owner);
  EXPECT_TRUE(EndsWithinPatience(pipe.reader.get()));
  EXPECT_FALSE(IsReadable(owner.broker.get()));  // We have its names.
  owner.names.reset();
  EXPECT_TRUE(IsReadable(owner.broker.get(), kPatienceMs));
}

}  // namespace
}  // namespace brood
