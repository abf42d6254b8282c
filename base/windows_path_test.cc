#include "base/windows_path.h"

#include <windows.h>

#include <string>

#include "gtest/gtest.h"

namespace brood {
namespace {

const std::wstring kLong(300, L'x');

TEST(WindowsPathTest, WhatFitsStaysAsItIs) {
  for (const wchar_t* const path : {L"C:\\a\\b.exe", L"a\\..\\b", L"NUL", L"\\\\.\\pipe\\p", L"", L"\\\\server\\share\\f"}) {
    EXPECT_EQ(AnyLength(path), path);
  }
}

TEST(WindowsPathTest, WhatIsTooLongIsWholeBehindItsPrefix) {
  EXPECT_EQ(AnyLength(L"C:\\a\\" + kLong), L"\\\\?\\C:\\a\\" + kLong);
  EXPECT_EQ(AnyLength(L"C:/a/./b/../" + kLong), L"\\\\?\\C:\\a\\" + kLong);
  EXPECT_EQ(AnyLength(L"\\\\server\\share\\" + kLong), L"\\\\?\\UNC\\server\\share\\" + kLong);
  for (const std::wstring& path : {L"\\\\?\\C:\\" + kLong, L"\\\\.\\pipe\\" + kLong}) EXPECT_EQ(AnyLength(path), path);
}

TEST(WindowsPathTest, ARelativePathIsTooLongTogetherWithTheCurrentFolder) {
  wchar_t folder[1024];
  const std::wstring current(folder, GetCurrentDirectoryW(1024, folder));
  EXPECT_EQ(AnyLength(kLong), L"\\\\?\\" + current + L"\\" + kLong);
  // As long as may stand alone.
  const std::wstring less(240, L'x');
  EXPECT_EQ(AnyLength(less), L"\\\\?\\" + current + L"\\" + less);
  EXPECT_EQ(WholeLength(less), current.size() + 1 + less.size());
}

}  // namespace
}  // namespace brood
