#include "base/windows_error.h"

#include <windows.h>

#include "base/status.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

TEST(WindowsErrorTest, StatusNamesOperationObjectCodeTextAndRemedy) {
  const absl::Status status = WindowsStatus(ERROR_FILE_NOT_FOUND, "open", "C:\\nowhere", "create it");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  const std::string message(status.message());
  EXPECT_EQ(message.find("open C:\\nowhere: ERROR_FILE_NOT_FOUND, 2 ("), 0u) << message;
  EXPECT_EQ(message.rfind("); create it"), message.size() - 12) << message;
}

TEST(WindowsErrorTest, TheLastErrorIsTold) {
  ASSERT_EQ(GetFileAttributesW(L"Z:\\no\\such\\folder"), INVALID_FILE_ATTRIBUTES);
  EXPECT_EQ(LastErrorStatus("look at").code(), absl::StatusCode::kNotFound);
}

TEST(WindowsErrorTest, NamesFindTheirNumbersAgainAlsoWhereWindowsHasNone) {
  for (const DWORD error : {DWORD{ERROR_ACCESS_DENIED}, DWORD{ERROR_BAD_EXE_FORMAT}, DWORD{740}, DWORD{12345}}) {
    const auto number = static_cast<int>(error);
    EXPECT_EQ(SystemErrorFromName(SystemErrorName(number)), number);
  }
  EXPECT_EQ(SystemErrorName(12345), "ERROR_12345");
  EXPECT_EQ(SystemErrorFromName("ENOENT"), 0);
}

}  // namespace
}  // namespace brood
