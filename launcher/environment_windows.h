// The environment of a child on Windows, and where its program is.
#ifndef BROOD_LAUNCHER_ENVIRONMENT_WINDOWS_H_
#define BROOD_LAUNCHER_ENVIRONMENT_WINDOWS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sandbox/policy.h"

namespace brood::internal {

// Names are the same whatever their case, and stand in that order: by upper-case letters, as CompareStringOrdinal compares.
struct NameLess {
  bool operator()(const std::wstring& a, const std::wstring& b) const;
};
using Environment = std::map<std::wstring, std::wstring, NameLess>;

// kMinimal is what Windows' own libraries need to work (SystemRoot, TEMP, PATH and the like), with the caller's values.
// `changes` are "K=V" and "K". Errors: InvalidArgument (an entry without a name, not UTF-8).
absl::StatusOr<Environment> MakeEnvironment(EnvironmentBase base, const std::vector<std::string>& changes);

// As CreateProcessW takes it: "K=V" after "K=V", each ended by a zero, and another zero.
std::wstring EnvironmentBlock(const Environment& environment);

bool IsFolder(const std::wstring& path);

// The file of `program`: from `directory` (the caller's, if empty) if it has a slash, a backslash or a drive; else in the
// folders of PATH in `environment`, and nowhere else, so not in the current folder unless PATH says so. Where the name has no
// extension and no such file exists, ".exe" is added. Errors: NotFound, PermissionDenied (a folder).
absl::StatusOr<std::wstring> FindProgram(const std::string& program, const Environment& environment,
                                         const std::wstring& directory);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_ENVIRONMENT_WINDOWS_H_
