#include "sandbox/made_files.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace brood {
namespace {

constexpr uint32_t kModes = 01777;
constexpr std::string_view kExpected = "expected an octal number up to 1777, without set-id bits";

absl::Status CheckText(std::string_view what, std::string_view text, size_t least, size_t most) {
  if (text.size() < least || text.size() > most) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": expected ", least, " to ", most, " bytes, got ", text.size()));
  }
  if (text.find('\0') == std::string_view::npos) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, ": there is a zero byte in it; show a file that has it"));
}

}  // namespace

absl::StatusOr<uint32_t> ParseMode(std::string_view text) {
  const absl::Status bad = absl::InvalidArgumentError(absl::StrCat("mode \"", text, "\": ", kExpected));
  constexpr size_t kMostDigits = 8;
  if (text.empty() || text.size() > kMostDigits) return bad;
  uint32_t mode = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '7') return bad;
    mode = mode * 8 + static_cast<uint32_t>(digit - '0');
  }
  return mode <= kModes ? absl::StatusOr<uint32_t>(mode) : bad;
}

std::string ModeText(uint32_t mode) { return absl::StrFormat("%04o", mode); }

absl::Status CheckMade(const FileRule& rule) {
  const bool overlay = rule.kind == FileRule::Kind::kOverlay;
  const bool goes_wrong = (!rule.layers.empty() && !overlay && rule.kind != FileRule::Kind::kMerged) || (!rule.changes.empty() && !overlay) ||
                          (!rule.text.empty() && rule.kind != FileRule::Kind::kSymlink && rule.kind != FileRule::Kind::kFile) ||
                          (rule.access == FileRule::Access::kDevice && rule.kind != FileRule::Kind::kBind);
  if (goes_wrong) {
    return absl::InvalidArgumentError(absl::StrCat("\"", rule.destination, "\": layers and changes are of overlays, a text of links and files, and a device is shown as it is"));
  }
  if (rule.no_exec && IsMade(rule)) return absl::InvalidArgumentError(absl::StrCat("noexec: \"", rule.destination, "\" is made in the child's root; it goes with what is shown, and with \"tmpfs\""));
  const bool has_mode = rule.kind == FileRule::Kind::kTmpfs || rule.kind == FileRule::Kind::kDirectory || rule.kind == FileRule::Kind::kFile;
  if (rule.mode.has_value() && !has_mode) return absl::InvalidArgumentError("mode: goes with \"tmpfs\", \"directory\" and \"content\" only");
  if (rule.mode.value_or(0) > kModes) return absl::InvalidArgumentError(absl::StrCat("mode ", ModeText(*rule.mode), ": ", kExpected));
  if (rule.kind == FileRule::Kind::kSymlink) return CheckText("symlink", rule.text, 1, kMaxLinkBytes);
  if (rule.kind == FileRule::Kind::kFile) return CheckText("content", rule.text, 0, kMaxContentBytes);
  return absl::OkStatus();
}

}  // namespace brood
