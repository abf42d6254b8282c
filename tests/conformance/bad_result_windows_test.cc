// A child that writes garbage where its result would be: a file, among those that it has.
#include <windows.h>

#include <string>

#include "base/windows_handle.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

// Writes over every file that it may write to but its streams, then ends as if all were well.
void WriteGarbage(const std::string& garbage) {
  for (int number = 4; number < 0x1000; number += 4) {
    const HANDLE handle = HandleOf(number);
    if (GetFileType(handle) != FILE_TYPE_DISK || handle == GetStdHandle(STD_INPUT_HANDLE) ||
        handle == GetStdHandle(STD_OUTPUT_HANDLE) || handle == GetStdHandle(STD_ERROR_HANDLE)) {
      continue;
    }
    DWORD written = 0;
    WriteFile(handle, garbage.data(), static_cast<DWORD>(garbage.size()), &written, nullptr);
  }
  TerminateProcess(GetCurrentProcess(), 0);
}
BROOD_TARGET(WriteGarbage);

using BadResultTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(BadResultTest);

TEST_P(BadResultTest, GarbageInPlaceOfAResultIsAnError) {
  for (const std::string& garbage : {std::string("x"), std::string(100, '\xff'), std::string(100'000, '\0')}) {
    Process process = context_.Start(WriteGarbage, garbage).value();
    EXPECT_EQ(process.Result<int>().status().code(), absl::StatusCode::kDataLoss) << process.Result<int>().status();
    EXPECT_EQ(process.exit_code(), 0);
  }
}

}  // namespace
}  // namespace brood
