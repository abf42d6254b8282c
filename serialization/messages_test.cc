#include "serialization/messages.h"

#include "absl/strings/cord.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

TEST(ValueTest, MismatchesNameBothTypes) {
  EXPECT_EQ(Unpack<std::string>(Pack(std::vector<int>{1})).status().message(), "expected string, got vector<int32>");
  const auto arguments = std::vector<TypedValue>{Pack(1), Pack(std::string("x"))};
  std::tuple<int, std::vector<int>> other;
  EXPECT_EQ(UnpackAll(arguments, other).message(), "argument 2: expected vector<int32>, got string");
  std::tuple<int> shorter;
  EXPECT_EQ(UnpackAll(arguments, shorter).message(), "expected 1 argument, got 2");
  std::tuple<int, std::string> right;
  ASSERT_TRUE(UnpackAll(arguments, right).ok());
  EXPECT_EQ(right, std::tuple(1, std::string("x")));
}

PreparationData Preparation() {
  return {.name = "worker",
          .start_method = StartMethod::kFork,
          .executable = "/bin/x",
          .argv = {"x", "y"},
          .cwd = "/",
          .environment = {{"A", "b"}, {"C", std::nullopt}},
          .log_level = 3,
          .plugin_path = {"/p"},
          .preload = {"l.so"},
          .auth_key = std::string("\0k", 2),
          .parent_name = "MainProcess",
          .parent_pid = 7,
          .identity = {2, 1},
          .freeze = Freeze::kOn};
}

TEST(MessagesTest, PreparationDataRoundTrips) {
  const PreparationData data = Preparation();
  const PreparationData read = DecodePreparationData(EncodePreparationData(data)).value();
  EXPECT_EQ(read.name, data.name);
  EXPECT_EQ(read.start_method, StartMethod::kFork);
  EXPECT_EQ(read.argv, data.argv);
  EXPECT_EQ(read.environment, data.environment);
  EXPECT_EQ(read.log_level, 3);
  EXPECT_EQ(read.auth_key, data.auth_key);
  EXPECT_EQ(read.parent_name, "MainProcess");
  EXPECT_EQ(read.parent_pid, 7);
  EXPECT_EQ(read.identity, data.identity);
  EXPECT_EQ(read.freeze, Freeze::kOn);
}

TEST(MessagesTest, ProcessDataRoundTrips) {
  const ProcessData data = {.target = "Square",
                            .arguments = {Pack(7)},
                            .policy = "policy",
                            .handles = {{5, "result"}},
                            .setup_handle = 4,
                            .result_handle = 5,
                            .max_result_bytes = 9,
                            .daemon = true};
  const ProcessData read = DecodeProcessData(EncodeProcessData(data)).value();
  EXPECT_EQ(read.target, "Square");
  ASSERT_EQ(read.arguments.size(), 1u);
  EXPECT_EQ(Unpack<int>(read.arguments[0]).value(), 7);
  EXPECT_EQ(read.policy, "policy");
  EXPECT_EQ(read.handles, data.handles);
  EXPECT_EQ(read.setup_handle, 4);
  EXPECT_EQ(read.result_handle, 5);
  EXPECT_EQ(read.max_result_bytes, 9u);
  EXPECT_TRUE(read.daemon);
}

TEST(MessagesTest, ResultRoundTripsWithCauses) {
  Result result;
  result.error =
      ResultError{.type = "outer", .status = absl::NotFoundError("message"), .stack = "f\ng", .cause = nullptr};
  result.error->status.SetPayload("url", absl::Cord("payload"));
  result.error->cause = std::make_shared<ResultError>(
      ResultError{.type = "inner", .status = absl::UnknownError("why"), .stack = "", .cause = nullptr});
  const Result read = DecodeResult(EncodeResult(result)).value();
  ASSERT_TRUE(read.error.has_value());
  EXPECT_EQ(read.error->status, result.error->status);
  EXPECT_EQ(read.error->stack, "f\ng");
  ASSERT_NE(read.error->cause, nullptr);
  EXPECT_EQ(read.error->cause->type, "inner");
}

TEST(MessagesTest, OneMessageIsNotTakenForAnother) {
  EXPECT_FALSE(DecodeProcessData(EncodePreparationData(Preparation())).ok());
  EXPECT_FALSE(DecodeResult("").ok());
}

TEST(MessagesTest, FlippedBitsGiveAMessageOrAnError) {
  std::string bytes = EncodePreparationData(Preparation());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    const auto read = DecodePreparationData(bytes);
    EXPECT_TRUE(read.ok() || !read.status().message().empty());
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
}

}  // namespace
}  // namespace brood
