#include <fcntl.h>

#include "gtest/gtest.h"
#include "serialization/messages.h"

namespace brood {
namespace {

TEST(ArgumentHandlesTest, HandlesOfArgumentsAreAdoptedByNumber) {
  ProcessData data = {.target = "Copy", .arguments = {Pack(UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC))), Pack(7)}};
  const WireHandles released = ReleaseArgumentHandles(data.arguments);
  ASSERT_EQ(released.size(), 1u);
  const int number = fcntl(released[0]->get(), F_DUPFD, 100);
  ASSERT_GE(number, 100);
  data.argument_handles = {number};
  ProcessData read = DecodeProcessData(EncodeProcessData(data)).value();
  EXPECT_EQ(Unpack<UniqueFd>(read.arguments[0]).status().code(), absl::StatusCode::kDataLoss);
  ASSERT_EQ(AdoptArgumentHandles(read), absl::OkStatus());
  EXPECT_TRUE(Unpack<UniqueFd>(read.arguments[0]).value().valid());
  read = ProcessData();
  EXPECT_EQ(fcntl(number, F_GETFD), -1);
}

TEST(ArgumentHandlesTest, HandlesThatAreMissingOrTooManyAreRefused) {
  const auto adopt = [](size_t announced, std::vector<int> numbers) {
    ProcessData data = {.target = "Copy", .arguments = {Pack(UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC)))}};
    const WireHandles released = ReleaseArgumentHandles(data.arguments);
    data.arguments[0].handles.resize(announced, data.arguments[0].handles[0]);
    data.argument_handles = std::move(numbers);
    absl::StatusOr<ProcessData> read = DecodeProcessData(EncodeProcessData(data));
    return read.ok() ? AdoptArgumentHandles(*read) : read.status();
  };
  EXPECT_EQ(adopt(1, {}).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(adopt(1, {1}).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(adopt(1, {-1}).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(adopt(1, {4000}).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(adopt(0, {fcntl(0, F_DUPFD, 100)}).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(adopt(1'000'000, {fcntl(0, F_DUPFD, 100)}).code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace brood
