// Reading whole files and opening paths that others may have prepared against us.
#ifndef BROOD_BATCH_FILES_H_
#define BROOD_BATCH_FILES_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood {

// The content of a file, "-" being standard input. Errors: NotFound, PermissionDenied, ResourceExhausted (larger than
// `max_bytes`), FailedPrecondition (a directory).
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes);

// What is left to read from `fd`. Errors: as ReadFile; `name` is for messages.
absl::StatusOr<std::string> ReadAll(int fd, std::string_view name, size_t max_bytes);

// `id` as a file name that is no path: bytes other than letters, digits, "_", "-", "." become %XX, as does a leading
// dot; a long one is cut and gets a hash. Distinct ids give distinct names.
// On Windows, where names know no case, capital letters do as well, and the names of devices.
std::string FileNameOf(std::string_view id);

// Whether byte `i` of `id` may stand for itself in the name of a file of this system.
bool MayStandInFileName(std::string_view id, size_t i);

// The directory `path`, created with its parents if it is missing.
absl::StatusOr<UniqueFd> OpenOrMakeDirectory(const std::string& path);

// The directory `name` in `parent`, created if it is missing; a symbolic link is an error.
absl::StatusOr<UniqueFd> OpenOrMakeSubdirectory(int parent, const std::string& name);

// The file `name` in `directory`, created or emptied, for writing; a symbolic link is an error. The directory may be one that
// earlier jobs could write to.
absl::StatusOr<UniqueFd> OpenOutputFile(int directory, const std::string& name);

}  // namespace brood

#endif  // BROOD_BATCH_FILES_H_
