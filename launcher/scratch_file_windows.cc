#include "launcher/scratch_file_windows.h"

#include <windows.h>

#include <array>
#include <cstdint>
#include <string>

#include "base/random.h"
#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"

namespace brood::internal {

absl::StatusOr<UniqueFd> ScratchFile() {
  wchar_t folder[MAX_PATH + 1];
  const DWORD size = GetTempPathW(MAX_PATH + 1, folder);
  if (size == 0 || size > MAX_PATH) return LastErrorStatus("GetTempPath");
  std::array<uint8_t, 16> random;
  BROOD_RETURN_IF_ERROR(FillRandom(random.data(), random.size()));
  std::wstring path = std::wstring(folder, size) + L"brood-";
  for (const uint8_t byte : random) {
    path += L"0123456789abcdef"[byte >> 4];
    path += L"0123456789abcdef"[byte & 15];
  }
  path += L".tmp";
  // Nobody may open it, whoever guesses the name; TEMPORARY keeps it in memory where there is enough.
  UniqueFd file = Own(CreateFileW(path.c_str(), GENERIC_READ | GENERIC_WRITE | DELETE, 0, nullptr, CREATE_NEW,
                                  FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, nullptr));
  if (!file.valid()) return LastErrorStatus("create", "a temporary file", "see the folder that %TEMP% names");
  return file;
}

bool Rewind(int file) {
  const LARGE_INTEGER beginning = {};
  return SetFilePointerEx(HandleOf(file), beginning, nullptr, FILE_BEGIN) != 0;
}

}  // namespace brood::internal
