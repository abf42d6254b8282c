#include "batch/copy_options.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "sandbox/policy.h"

namespace brood {

absl::StatusOr<CopyIn> ParseCopyIn(std::string_view text) {
  const size_t split = text.find(":/");
  if (split == std::string_view::npos || split == 0) {
    return absl::InvalidArgumentError(absl::StrCat("expected SRC:DEST with DEST an absolute path inside, got \"", text, "\""));
  }
  return CopyIn{.source = std::string(text.substr(0, split)), .destination = std::string(text.substr(split + 1))};
}

absl::StatusOr<CopyOut> ParseCopyOut(std::string_view text) {
  const size_t split = text.find(':');
  if (text.empty() || text[0] != '/' || split == std::string_view::npos || split + 1 == text.size()) {
    return absl::InvalidArgumentError(absl::StrCat("expected SRC:DEST[:SIZE] with SRC an absolute path inside, got \"", text, "\""));
  }
  CopyOut copy{.source = std::string(text.substr(0, split)), .destination = std::string(text.substr(split + 1))};
  const size_t last = copy.destination.rfind(':');
  if (last == std::string::npos || last == 0) return copy;
  const absl::StatusOr<uint64_t> size = ParseSize(copy.destination.substr(last + 1));
  if (!size.ok()) return copy;
  copy.max_bytes = *size;
  copy.destination.resize(last);
  return copy;
}

std::string CopyInText(const CopyIn& copy) { return absl::StrCat(copy.source, ":", copy.destination); }

std::string CopyOutText(const CopyOut& copy) { return absl::StrCat(copy.source, ":", copy.destination, ":", copy.max_bytes); }

}  // namespace brood
