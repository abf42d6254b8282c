// Links, directories and files that a policy has made in the child's own root, and what there cannot be.
#ifndef BROOD_SANDBOX_MADE_FILES_H_
#define BROOD_SANDBOX_MADE_FILES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sandbox/policy.h"

namespace brood {

inline constexpr size_t kMaxLinkBytes = 4095;        // PATH_MAX, without its zero. symlink(2), ENAMETOOLONG
inline constexpr size_t kMaxContentBytes = 64 << 10; // Of each file: they are in the root, which is of 4 MiB.

// Whether it is made, and nothing of the host is shown for it.
inline bool IsMade(const FileRule& rule) {
  return rule.kind == FileRule::Kind::kSymlink || rule.kind == FileRule::Kind::kDirectory || rule.kind == FileRule::Kind::kFile;
}

// Whether something of the host is shown for it.
inline bool ShowsHost(const FileRule& rule) { return rule.kind != FileRule::Kind::kTmpfs && !IsMade(rule); }

// "0750", "1777": octal, without set-id bits. Errors: InvalidArgument.
absl::StatusOr<uint32_t> ParseMode(std::string_view text);

// The text that reads back as the same: "0750".
std::string ModeText(uint32_t mode);

// What fields of a rule cannot be so, or not together. Errors: InvalidArgument, what was expected.
absl::Status CheckMade(const FileRule& rule);

}  // namespace brood

#endif  // BROOD_SANDBOX_MADE_FILES_H_
