#include "batch/file_rules.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "batch/policy_options.h"
#include "sandbox/made_files.h"

namespace brood {
namespace {

absl::Status Expected(std::string_view what, std::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("expected ", what, ", got \"", text, "\""));
}

}  // namespace

absl::StatusOr<FileRule> ParseSymlinkRule(std::string_view text) {
  const size_t split = text.rfind(":/");
  if (split == 0 || split == std::string_view::npos) return Expected("TARGET:DEST, DEST an absolute path", text);
  // Of a bind rule the normal form of its place.
  BROOD_ASSIGN_OR_RETURN(const FileRule place, ParseBindRule(text.substr(split + 1), FileRule::Access::kReadOnly));
  return FileRule{.kind = FileRule::Kind::kSymlink, .destination = place.destination, .text = std::string(text.substr(0, split))};
}

absl::StatusOr<FileRule> ParseDirectoryRule(std::string_view text) {
  FileRule rule{.kind = FileRule::Kind::kDirectory};
  std::string_view destination = text;
  if (const size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    BROOD_ASSIGN_OR_RETURN(rule.mode, ParseMode(text.substr(colon + 1)));
    destination = text.substr(0, colon);
  }
  if (destination.empty() || destination[0] != '/') return Expected("DEST[:MODE] with an absolute path", text);
  BROOD_ASSIGN_OR_RETURN(const FileRule place, ParseBindRule(destination, FileRule::Access::kReadOnly));
  rule.destination = place.destination;
  return rule;
}

absl::StatusOr<FileRule> ParseDeviceRule(std::string_view text) { return ParseBindRule(text, FileRule::Access::kDevice); }

absl::StatusOr<FileRule> ParseMergedRule(std::string_view text) {
  BROOD_ASSIGN_OR_RETURN(FileRule rule, ParseBindRule(text, FileRule::Access::kReadOnly));
  rule.kind = FileRule::Kind::kMerged;
  return rule;
}

absl::Status AddOverlayLayer(std::string_view text, std::vector<FileRule>& files) {
  if (text.find(":/") == std::string_view::npos) return Expected("SRC:DEST, DEST the place of an overlay", text);
  BROOD_ASSIGN_OR_RETURN(const FileRule layer, ParseBindRule(text, FileRule::Access::kReadOnly));
  for (FileRule& rule : files) {
    const bool overlay = rule.kind == FileRule::Kind::kOverlay || rule.kind == FileRule::Kind::kMerged;
    if (!overlay || rule.destination != layer.destination) continue;
    rule.layers.push_back(layer.source);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("there is no overlay at ", layer.destination, " that \"", text, "\" could lie below; --overlay, --overlay-kept or --overlay-ro comes before it"));
}

}  // namespace brood
