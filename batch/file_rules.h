// File rules as an option of the command line, or a job line, says them; those that lend or show files are in policy_options.h.
#ifndef BROOD_BATCH_FILE_RULES_H_
#define BROOD_BATCH_FILE_RULES_H_

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sandbox/policy.h"

namespace brood {

// "TARGET:DEST": the split is at the last ":/", since DEST is absolute. Errors: InvalidArgument, as of the others.
absl::StatusOr<FileRule> ParseSymlinkRule(std::string_view text);

// "DEST[:MODE]", the mode octal.
absl::StatusOr<FileRule> ParseDirectoryRule(std::string_view text);

// "PATH[:DEST]", as a bind rule.
absl::StatusOr<FileRule> ParseDeviceRule(std::string_view text);

// "SRC[:DEST]", as a bind rule: the top of a read-only overlay.
absl::StatusOr<FileRule> ParseMergedRule(std::string_view text);

// "SRC:DEST": puts SRC below the overlay at DEST, and below what is there already, in `files`.
absl::Status AddOverlayLayer(std::string_view text, std::vector<FileRule>& files);

}  // namespace brood

#endif  // BROOD_BATCH_FILE_RULES_H_
