// UTF-8, which brood's interfaces take and give, and the UTF-16 of Windows.
//
// Windows only. Thread-safe.
#ifndef BROOD_BASE_WINDOWS_TEXT_H_
#define BROOD_BASE_WINDOWS_TEXT_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace brood {

// Errors: InvalidArgument (not UTF-8, or with a zero character, at which Windows would take it to end), naming `what` it is.
absl::StatusOr<std::wstring> ToWide(std::string_view text, std::string_view what);

// A surrogate without its other half, which the names of files may have, becomes U+FFFD.
std::string ToUtf8(std::wstring_view text);

}  // namespace brood

#endif  // BROOD_BASE_WINDOWS_TEXT_H_
