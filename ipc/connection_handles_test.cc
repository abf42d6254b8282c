// Descriptors over connections, and connections as values.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ipc/connection.h"
#include "ipc/pipe.h"
#include "ipc/testing.h"

namespace brood {
namespace {

using testing::HasSubstr;

UniqueFd FileWith(std::string_view text) {
  UniqueFd fd(memfd_create("test", MFD_CLOEXEC));
  EXPECT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return fd;
}

std::string TextOf(const UniqueFd& fd) {
  char text[64];
  const ssize_t size = pread(fd.get(), text, sizeof(text), 0);
  return size < 0 ? "not readable" : std::string(text, static_cast<size_t>(size));
}

struct Job {
  int number = 0;
  std::vector<UniqueFd> files;
  Connection answer;
};
BROOD_FIELDS(Job, number, files, answer);

class ConnectionHandlesTest : public testing::Test {
 protected:
  void SetUp() override { std::tie(a_, b_) = Pipe().value(); }

  NoDescriptorLeaks no_leaks_;
  Connection a_;
  Connection b_;
};

TEST_F(ConnectionHandlesTest, AHandleArrivesInAnotherProcessCloseOnExec) {
  PeerProcess child([&] {
    a_.Close();
    const absl::StatusOr<UniqueFd> fd = b_.ReceiveHandle();
    return fd.ok() && TextOf(*fd) == "hello" && (fcntl(fd->get(), F_GETFD) & FD_CLOEXEC) != 0;
  });
  const UniqueFd file = FileWith("hello");
  ASSERT_TRUE(a_.SendHandle(file.get()).ok());
  EXPECT_EQ(child.Join(), 0);
}

// Python's test_large_fd_transfer: numbers above 256 once travelled as one byte.
TEST_F(ConnectionHandlesTest, HighDescriptorNumbersTravel) {
  const UniqueFd low = FileWith("high");
  const UniqueFd high(fcntl(low.get(), F_DUPFD_CLOEXEC, 300));
  ASSERT_GE(high.get(), 300);
  ASSERT_TRUE(a_.SendHandle(high.get()).ok());
  EXPECT_EQ(TextOf(b_.ReceiveHandle().value()), "high");
}

TEST_F(ConnectionHandlesTest, ThreeHundredDescriptorsArriveInOrderAndTheNextMessageIsIntact) {
  for (const int count : {0, 1, 252, 253, 254, 300, 506, 507}) {
    std::vector<UniqueFd> files;
    // A dozen real files; the kernel counts descriptors, not files.
    for (int i = 0; i < 12; ++i) files.push_back(FileWith(std::to_string(i)));
    std::vector<int> numbers;
    for (int i = 0; i < count; ++i) numbers.push_back(files[i % files.size()].get());
    ASSERT_TRUE(a_.SendHandles(numbers).ok());
    ASSERT_TRUE(a_.SendBytes("next").ok());
    rlimit limit = {};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    ASSERT_GT(limit.rlim_cur, 600u) << "too few to be tested with";
    const absl::StatusOr<std::vector<UniqueFd>> got = b_.ReceiveHandles();
    ASSERT_TRUE(got.ok()) << got.status();
    ASSERT_EQ(got->size(), static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) EXPECT_EQ(TextOf((*got)[i]), std::to_string(i % 12));
    EXPECT_EQ(b_.ReceiveBytes().value(), "next");
  }
}

TEST_F(ConnectionHandlesTest, MoreDescriptorsThanAllowedAreRefusedAtBothEnds) {
  std::tie(a_, b_) = Pipe({.connection = {.max_handles = 299}}).value();
  EXPECT_EQ(a_.SendHandles(std::vector<int>(300, a_.descriptor())).message(),
            "send: the message has 300 descriptors, 299 are allowed");
  ASSERT_TRUE(a_.SendHandles(std::vector<int>(10, a_.descriptor())).ok());
  const absl::Status status = b_.ReceiveHandles({.max_handles = 9}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the message has 10 descriptors, 9 are allowed"));
  EXPECT_EQ(b_.ReceiveHandles().value().size(), 10u) << "it stays until the bound is larger";
}

TEST_F(ConnectionHandlesTest, ADescriptorThatIsNotOpenIsNamedAndNothingIsSent) {
  EXPECT_EQ(a_.SendHandle(-1), absl::InvalidArgumentError("send: descriptor -1 is not open"));
  EXPECT_EQ(a_.SendHandles({0, 7'654'321}), absl::InvalidArgumentError("send: descriptor 7654321 is not open"));
  EXPECT_FALSE(b_.Poll().value());
}

TEST_F(ConnectionHandlesTest, HandlesWhereBytesOrAValueAreExpectedAreClosed) {
  const UniqueFd file = FileWith("x");
  const std::set<int> before = OpenDescriptors();
  ASSERT_TRUE(a_.SendHandle(file.get()).ok());
  ASSERT_TRUE(a_.SendHandle(file.get()).ok());
  ASSERT_TRUE(a_.SendHandles({file.get(), file.get()}).ok());
  ASSERT_TRUE(a_.SendBytes("").ok());
  EXPECT_EQ(b_.ReceiveBytes().status(), absl::InvalidArgumentError("receive: expected bytes, got handles"));
  EXPECT_EQ(b_.Receive<int>().status(), absl::InvalidArgumentError("receive: expected a value, got handles"));
  EXPECT_EQ(b_.ReceiveHandle().status(), absl::InvalidArgumentError("receive: expected one handle, got 2"));
  EXPECT_EQ(b_.ReceiveHandle().status(), absl::InvalidArgumentError("receive: expected handles, got bytes"));
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_F(ConnectionHandlesTest, ValuesCarryTheirHandles) {
  Job job = {.number = 7, .files = {}, .answer = {}};
  for (int i = 0; i < 260; ++i) job.files.push_back(FileWith(std::to_string(i)));
  Connection mine;
  std::tie(mine, job.answer) = Pipe().value();
  PeerProcess child([&] {
    a_.Close();
    mine.Close();
    absl::StatusOr<Job> got = b_.Receive<Job>();
    if (!got.ok()) return false;
    std::string all;
    for (const UniqueFd& file : got->files) all += TextOf(file);
    return got->answer.Send(all).ok();
  });
  ASSERT_TRUE(a_.Send(job).ok());
  job = {};
  std::string expected;
  for (int i = 0; i < 260; ++i) expected += std::to_string(i);
  EXPECT_EQ(mine.Receive<std::string>().value(), expected);
  EXPECT_EQ(child.Join(), 0);
  EXPECT_EQ(mine.Receive<std::string>().status().code(), absl::StatusCode::kOutOfRange) << "no copy of the end is left";
}

// Only the first of the many sendmsg calls that it takes may bring the descriptors.
TEST_F(ConnectionHandlesTest, ALongMessageThatIsSentInManyStepsBringsItsHandlesOnce) {
  using Value = std::pair<UniqueFd, std::string>;
  const Value value(FileWith("once"), std::string(size_t{8} << 20, 'x'));
  std::thread sender([&] { EXPECT_TRUE(a_.Send(value, absl::Seconds(60)).ok()); });
  const absl::StatusOr<Value> got = b_.Receive<Value>();
  sender.join();
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(TextOf(got->first), "once");
  EXPECT_TRUE(got->second == value.second);
}

TEST_F(ConnectionHandlesTest, AConnectionKeepsItsDirectionAndItsBoundsOnTheWay) {
  auto [receiver, sender] = Pipe({.kind = PipeKind::kOneWay, .connection = {.max_message_bytes = 100}}).value();
  ASSERT_TRUE(a_.Send(receiver).ok());
  ASSERT_TRUE(a_.Send(sender).ok());
  receiver.Close();
  sender.Close();
  Connection got_receiver = b_.Receive<Connection>().value();
  Connection got_sender = b_.Receive<Connection>().value();
  EXPECT_TRUE(got_receiver.readable() && !got_receiver.writable());
  EXPECT_TRUE(!got_sender.readable() && got_sender.writable());
  EXPECT_EQ(got_sender.SendBytes(std::string(101, 'x')).code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(got_sender.SendBytes(std::string(100, 'x')).ok());
  EXPECT_EQ(got_receiver.ReceiveBytes().value().size(), 100u);
}

TEST_F(ConnectionHandlesTest, APeerCannotRaiseTheBoundsOfAConnectionThatItSends) {
  auto [first, second] = Pipe({.connection = {.max_message_bytes = ~uint64_t{0}, .max_handles = ~uint32_t{0}}}).value();
  ASSERT_TRUE(a_.Send(first).ok());
  const Connection got = b_.Receive<Connection>().value();
  EXPECT_EQ(got.options().max_message_bytes, ConnectionOptions().max_message_bytes);
  EXPECT_EQ(got.options().max_handles, ConnectionOptions().max_handles);
}

TEST_F(ConnectionHandlesTest, AConnectionThatCannotBeHandedOverFailsToBeSent) {
  EXPECT_EQ(a_.Send(Connection()).code(), absl::StatusCode::kInvalidArgument) << "closed";
  auto [first, second] = Pipe().value();
  ASSERT_TRUE(first.SendBytes("0123").ok());
  EXPECT_FALSE(second.ReceiveBytes({.max_bytes = 1}).ok());
  EXPECT_EQ(a_.Send(second).code(), absl::StatusCode::kInvalidArgument) << "its message would be torn";
  EXPECT_EQ(second.ReceiveBytes().value(), "0123");
  EXPECT_TRUE(a_.Send(second).ok());
}

TEST_F(ConnectionHandlesTest, ADescriptorThatIsNoSocketIsNoConnection) {
  const TypedValue lie = Pack(FileWith("no socket"));
  auto [first, second] = Pipe().value();
  const TypedValue truth = Pack(first);
  const TypedValue value = {.type = truth.type, .bytes = truth.bytes, .handles = lie.handles};
  EXPECT_EQ(Unpack<Connection>(value).status(), absl::DataLossError("a connection that is no connected stream socket"));
}

// The sender of a process that has no room for what comes: nothing of it stays, and the connection goes on.
TEST_F(ConnectionHandlesTest, NoRoomForDescriptorsIsAnErrorThatLeaksNothing) {
  const UniqueFd file = FileWith("x");
  ASSERT_TRUE(a_.SendHandles(std::vector<int>(300, file.get())).ok());
  ASSERT_TRUE(a_.Send(std::vector<int>{1}).ok());
  ASSERT_TRUE(a_.SendHandle(file.get()).ok());
  const std::set<int> before = OpenDescriptors();
  rlimit old_limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old_limit), 0);
  const rlimit tight = {.rlim_cur = static_cast<rlim_t>(*before.rbegin() + 11), .rlim_max = old_limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  const absl::Status status = b_.ReceiveHandles().status();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old_limit), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the message came with 300 descriptors"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("raise the limit of open files"));
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_EQ(b_.Receive<std::vector<int>>().value(), std::vector<int>{1});
  EXPECT_EQ(TextOf(b_.ReceiveHandle().value()), "x");
}

}  // namespace
}  // namespace brood
