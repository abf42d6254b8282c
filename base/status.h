// Turns errno values into absl::Status and passes errors on.
//
//   BROOD_ASSIGN_OR_RETURN(UniqueFd dir, OpenDirectory(path));
//   if (fchdir(dir.get()) != 0) return ErrnoStatus(errno, "fchdir", path);
//
// A Status says what brood could not do: operation, object, reason, remedy. How a child ended is a value, never a Status.
#ifndef BROOD_BASE_STATUS_H_
#define BROOD_BASE_STATUS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace brood {

// The symbolic name of an errno value, "ENOENT"; "errno 4242" for a value that has none.
std::string ErrnoName(int error_number);

// "ENOENT (No such file or directory)".
std::string ErrnoText(int error_number);

// The errno value that `name` ("EACCES") stands for, or 0 if there is none.
int ErrnoFromName(std::string_view name);

// "OPERATION OBJECT: ENOENT (No such file or directory)[; REMEDY]", with the code that fits the errno: NotFound for
// ENOENT, PermissionDenied for EPERM and EACCES, ResourceExhausted for EAGAIN, ENOMEM, EMFILE, ENFILE and ENOSPC,
// AlreadyExists for EEXIST, Unimplemented for ENOSYS, DeadlineExceeded for ETIMEDOUT, FailedPrecondition for the rest.
absl::Status ErrnoStatus(int error_number, std::string_view operation, std::string_view object = {},
                         std::string_view remedy = {});

// The message of such a status: "OPERATION OBJECT: WHY[; REMEDY]".
std::string FailureText(std::string_view why, std::string_view operation, std::string_view object, std::string_view remedy);

// As ErrnoName, ErrnoText and ErrnoFromName, for the numbers with which the system's own calls fail: errno, but on Windows
// the code of GetLastError, "ERROR_FILE_NOT_FOUND". What an outcome tells of a failed set-up is such a number.
std::string SystemErrorName(int error_number);
std::string SystemErrorText(int error_number);
int SystemErrorFromName(std::string_view name);
bool SystemErrorIsNotFound(int error_number);  // A file, or a folder on the way to it.

// The same error with "CONTEXT: " in front of its message.
absl::Status Annotate(const absl::Status& status, std::string_view context);

}  // namespace brood

#define BROOD_STATUS_CONCAT_INNER(a, b) a##b
#define BROOD_STATUS_CONCAT(a, b) BROOD_STATUS_CONCAT_INNER(a, b)

#define BROOD_RETURN_IF_ERROR(expression)                                \
  do {                                                                   \
    if (absl::Status brood_status_ = (expression); !brood_status_.ok()) \
      return brood_status_;                                              \
  } while (false)

#define BROOD_ASSIGN_OR_RETURN(declaration, expression) \
  BROOD_ASSIGN_OR_RETURN_INNER(BROOD_STATUS_CONCAT(brood_statusor_, __LINE__), declaration, expression)

#define BROOD_ASSIGN_OR_RETURN_INNER(statusor, declaration, expression) \
  auto statusor = (expression);                                         \
  if (!statusor.ok()) return std::move(statusor).status();              \
  declaration = *std::move(statusor)

#endif  // BROOD_BASE_STATUS_H_
