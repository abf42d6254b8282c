// Policy files: JSON that people write, read into a Policy.
//
//   BROOD_ASSIGN_OR_RETURN(Policy policy, LoadPolicy("strict"));           // A built-in.
//   BROOD_ASSIGN_OR_RETURN(Policy policy, LoadPolicy("ci/build.json"));    // A file.
//
// What a file means is decided in one place, sandbox/policy_flatbuffer.h: here JSON becomes that form, and its errors
// get a file, a line and a field.
#ifndef BROOD_BATCH_POLICY_JSON_H_
#define BROOD_BATCH_POLICY_JSON_H_

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sandbox/policy.h"

namespace brood {

// Reads the text of a policy file, or of a seccomp profile of Docker's (oci_profile.h); `file` is for messages and becomes the policy's name if it gives none.
//
// A file must say what it extends: a built-in, or null to start from no sandbox at all, so that a forgotten word never
// leaves a child unconfined.
//
// Errors: InvalidArgument `FILE:LINE: field "limits.memory": expected ...`.
absl::StatusOr<Policy> ParsePolicy(std::string_view text, const std::string& file);

// A built-in policy by its name, or the policy file at that path. Errors: as ParsePolicy, NotFound, PermissionDenied.
absl::StatusOr<Policy> LoadPolicy(const std::string& name_or_path);

// The line and field of the file at which `check`, which finds more than ParsePolicy (what this machine lacks), gives that
// error; else the error with the file's name alone, as of one that came through a pipe.
absl::Status PlaceInFile(const std::string& path, const absl::Status& error, const std::function<absl::Status(const Policy&)>& check);

}  // namespace brood

#endif  // BROOD_BATCH_POLICY_JSON_H_
