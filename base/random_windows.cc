#include <windows.h>
// After windows.h, whose types it needs.
#include <bcrypt.h>

#include <algorithm>
#include <limits>

#include "absl/strings/str_format.h"
#include "base/random.h"

namespace brood {

absl::Status FillRandom(void* data, size_t size) {
  auto* to = static_cast<unsigned char*>(data);
  while (size > 0) {
    const auto part = static_cast<ULONG>(std::min<size_t>(size, std::numeric_limits<ULONG>::max()));
    const NTSTATUS status = BCryptGenRandom(nullptr, to, part, BCRYPT_USE_SYSTEM_PREFERRED_RNG);
    if (!BCRYPT_SUCCESS(status)) {
      return absl::FailedPreconditionError(absl::StrFormat("BCryptGenRandom: NTSTATUS 0x%08x", static_cast<uint32_t>(status)));
    }
    to += part;
    size -= part;
  }
  return absl::OkStatus();
}

}  // namespace brood
