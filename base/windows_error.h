// Turns error codes of Windows into absl::Status.
//
//   if (!ReadFile(...)) return LastErrorStatus("read", "process data");
//
// Windows only. base/status.h has what is the same everywhere.
#ifndef BROOD_BASE_WINDOWS_ERROR_H_
#define BROOD_BASE_WINDOWS_ERROR_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"

namespace brood {

// "OPERATION OBJECT: ERROR_FILE_NOT_FOUND, 2 (The system cannot find the file specified)[; REMEDY]", with the code that
// fits: NotFound for a missing file or folder, PermissionDenied for no access, ResourceExhausted for memory, handles and
// quotas, AlreadyExists, InvalidArgument for a file that is no program, Unimplemented, DeadlineExceeded,
// FailedPrecondition for the rest.
absl::Status WindowsStatus(uint32_t error, std::string_view operation, std::string_view object = {},
                           std::string_view remedy = {});

// That of GetLastError, which this is to be called right after.
absl::Status LastErrorStatus(std::string_view operation, std::string_view object = {}, std::string_view remedy = {});

}  // namespace brood

#endif  // BROOD_BASE_WINDOWS_ERROR_H_
