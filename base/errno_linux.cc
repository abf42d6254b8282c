#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood {

std::string ErrnoName(int error_number) {
  const char* name = strerrorname_np(error_number);
  return name != nullptr ? std::string(name) : absl::StrCat("errno ", error_number);
}

std::string ErrnoText(int error_number) {
  // strerrordesc_np is the thread-safe and untranslated strerror: messages are the same on every machine.
  const char* text = strerrordesc_np(error_number);
  if (text == nullptr) return ErrnoName(error_number);
  return absl::StrCat(ErrnoName(error_number), " (", text, ")");
}

int ErrnoFromName(std::string_view name) {
  constexpr int kLargestErrno = 4095;  // MAX_ERRNO of the kernel; the highest in use is 133.
  for (int i = 1; i <= kLargestErrno; ++i) {
    const char* candidate = strerrorname_np(i);
    if (candidate != nullptr && name == candidate) return i;
  }
  return 0;
}

// The system's calls set errno.
std::string SystemErrorName(int error_number) { return ErrnoName(error_number); }
std::string SystemErrorText(int error_number) { return ErrnoText(error_number); }
int SystemErrorFromName(std::string_view name) { return ErrnoFromName(name); }
bool SystemErrorIsNotFound(int error_number) { return error_number == ENOENT || error_number == ENOTDIR; }

}  // namespace brood
