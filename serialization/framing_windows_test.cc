// framing.h on handles of Windows. What the bytes mean is tested on Linux.
#include <windows.h>

#include <string>
#include <thread>

#include "absl/time/time.h"
#include "base/windows_handle.h"
#include "gtest/gtest.h"
#include "serialization/framing.h"

namespace brood {
namespace {

struct Pipe {
  Pipe() {
    HANDLE ends[2] = {};
    EXPECT_TRUE(CreatePipe(&ends[0], &ends[1], nullptr, 0));
    reader = Own(ends[0]);
    writer = Own(ends[1]);
  }
  UniqueFd reader;
  UniqueFd writer;
};

TEST(FramingWindowsTest, MessagesFollowEachOtherOnAPipeUntilItsEnd) {
  Pipe pipe;
  ASSERT_TRUE(WriteMessage(pipe.writer.get(), MessageType::kResult, "first").ok());
  ASSERT_TRUE(WriteMessage(pipe.writer.get(), MessageType::kResult, "").ok());
  pipe.writer.reset();
  EXPECT_EQ(ReadMessage(pipe.reader.get(), MessageType::kResult).value(), "first");
  EXPECT_EQ(ReadMessage(pipe.reader.get(), MessageType::kResult).value(), "");
  EXPECT_EQ(ReadMessage(pipe.reader.get(), MessageType::kResult).status().code(), absl::StatusCode::kOutOfRange);
}

TEST(FramingWindowsTest, LongMessagesCrossASmallPipe) {
  Pipe pipe;
  const std::string body(3'000'000, 'x');
  std::thread writer([&] { EXPECT_TRUE(WriteMessage(pipe.writer.get(), MessageType::kResult, body).ok()); });
  EXPECT_EQ(ReadMessage(pipe.reader.get(), MessageType::kResult).value(), body);
  writer.join();
}

TEST(FramingWindowsTest, WritingToAClosedReaderIsUnavailable) {
  Pipe pipe;
  pipe.reader.reset();
  EXPECT_EQ(WriteMessage(pipe.writer.get(), MessageType::kResult, "x").code(), absl::StatusCode::kUnavailable);
}

TEST(FramingWindowsTest, ADeadlinePassesWhileNothingComes) {
  Pipe pipe;
  const ReadOptions options = {.deadline = absl::UnixEpoch()};
  EXPECT_EQ(ReadMessage(pipe.reader.get(), MessageType::kResult, options).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  ASSERT_TRUE(WriteMessage(pipe.writer.get(), MessageType::kResult, "there").ok());
  EXPECT_EQ(ReadMessage(pipe.reader.get(), MessageType::kResult, options).value(), "there");
}

TEST(FramingWindowsTest, WorksOnAFile) {
  wchar_t folder[MAX_PATH];
  wchar_t path[MAX_PATH];
  ASSERT_NE(GetTempPathW(MAX_PATH, folder), 0u);
  ASSERT_NE(GetTempFileNameW(folder, L"frm", 0, path), 0u);
  const UniqueFd file = Own(CreateFileW(path, GENERIC_READ | GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS,
                                        FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, nullptr));
  ASSERT_TRUE(file.valid());
  ASSERT_TRUE(WriteMessage(file.get(), MessageType::kResult, "on a disk").ok());
  ASSERT_NE(SetFilePointer(HandleOf(file.get()), 0, nullptr, FILE_BEGIN), INVALID_SET_FILE_POINTER);
  EXPECT_EQ(ReadMessage(file.get(), MessageType::kResult).value(), "on a disk");
}

}  // namespace
}  // namespace brood
