#include "base/windows_handle.h"

#include <windows.h>

#include <utility>

#include "gtest/gtest.h"

namespace brood {
namespace {

bool IsOpen(int fd) {
  DWORD flags = 0;
  return GetHandleInformation(HandleOf(fd), &flags) != 0;
}

UniqueFd NewEvent() { return Own(CreateEventW(nullptr, TRUE, FALSE, nullptr)); }

TEST(WindowsHandleTest, NeitherOfTheTwoEmptyHandlesIsValid) {
  EXPECT_FALSE(Own(nullptr).valid());
  EXPECT_FALSE(Own(INVALID_HANDLE_VALUE).valid());
}

TEST(WindowsHandleTest, ClosesWhatItHoldsAndKeepsTheLastError) {
  int number = -1;
  {
    UniqueFd event = NewEvent();
    ASSERT_TRUE(event.valid());
    EXPECT_TRUE(SetEvent(HandleOf(event.get())));
    number = event.get();
    SetLastError(1234);
  }
  EXPECT_EQ(GetLastError(), 1234u);
  EXPECT_FALSE(IsOpen(number));
}

TEST(WindowsHandleTest, DuplicatesOutliveTheFirst) {
  UniqueFd event = NewEvent();
  const UniqueFd copy = Duplicate(event.get());
  ASSERT_TRUE(copy.valid());
  event.reset();
  EXPECT_EQ(WaitForSingleObject(HandleOf(copy.get()), 0), static_cast<DWORD>(WAIT_TIMEOUT));
  EXPECT_FALSE(Duplicate(-1).valid());
}

TEST(WindowsHandleTest, AnInheritableHandleCanBeKeptFromChildren) {
  SECURITY_ATTRIBUTES inherited = {.nLength = sizeof(inherited), .lpSecurityDescriptor = nullptr, .bInheritHandle = TRUE};
  const UniqueFd event = Own(CreateEventW(&inherited, TRUE, FALSE, nullptr));
  DWORD flags = 0;
  ASSERT_TRUE(GetHandleInformation(HandleOf(event.get()), &flags));
  EXPECT_EQ(flags & HANDLE_FLAG_INHERIT, static_cast<DWORD>(HANDLE_FLAG_INHERIT));
  EXPECT_TRUE(KeepFromChildren(event.get()));
  ASSERT_TRUE(GetHandleInformation(HandleOf(event.get()), &flags));
  EXPECT_EQ(flags & HANDLE_FLAG_INHERIT, 0u);
  EXPECT_FALSE(KeepFromChildren(-1));
}

}  // namespace
}  // namespace brood
