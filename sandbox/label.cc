#include "sandbox/label.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace brood {

absl::StatusOr<std::string> ParseLabel(std::string_view text) {
  const std::string_view name = text.substr(text.substr(0, 1) == "&" ? 1 : 0);
  // The kernel takes blanks at the ends away, and what is behind a line's end.
  const bool clean = std::none_of(name.begin(), name.end(), [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); });
  if (name.empty() || !clean || name != absl::StripAsciiWhitespace(name)) {
    return absl::InvalidArgumentError("expected the name of an AppArmor profile, or a SELinux context, without control characters");
  }
  if (text.size() > kMaxLabel) return absl::InvalidArgumentError(absl::StrCat("a label of ", text.size(), " bytes; at most ", kMaxLabel));
  return std::string(text);
}

}  // namespace brood
