#include "sandbox/process_attributes.h"

#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace brood {
namespace {

// As the kernel numbers them, on whatever system the policy is read. personality(2)
//
// Not: READ_IMPLIES_EXEC and ADDR_LIMIT_3GB, which an exec of a program of 64 bits forgets, and MMAP_PAGE_ZERO, which takes a right
// that no child has. They would be promises that nobody keeps.
constexpr std::pair<std::string_view, uint32_t> kFlags[] = {
    {"addr_compat_layout", 0x0200000}, {"addr_no_randomize", 0x0040000}, {"uname26", 0x0020000}};

absl::StatusOr<int> ParseWithin(std::string_view text, int least, int most) {
  int value = 0;
  if (absl::SimpleAtoi(text, &value) && value >= least && value <= most) return value;
  return absl::InvalidArgumentError(absl::StrCat("expected a number from ", least, " to ", most, ", got \"", text, "\""));
}

constexpr int kLeastNice = -20, kMostNice = 19;
constexpr int kLeastOom = -1000, kMostOom = 1000;
constexpr uint32_t kMostUmask = 0777;

absl::Status CheckWithin(std::string_view field, const std::optional<int>& value, int least, int most) {
  if (!value) return absl::OkStatus();
  return Annotate(ParseWithin(absl::StrCat(*value), least, most).status(), absl::StrCat("process: ", field));
}

}  // namespace

uint32_t PersonalityFlag(std::string_view name) {
  for (const auto& [known, flag] : kFlags) {
    if (known == name) return flag;
  }
  return 0;
}

absl::StatusOr<int> ParseNice(std::string_view text) { return ParseWithin(text, kLeastNice, kMostNice); }

absl::StatusOr<int> ParseOomScoreAdj(std::string_view text) { return ParseWithin(text, kLeastOom, kMostOom); }

absl::StatusOr<uint32_t> ParseUmask(std::string_view text) {
  uint32_t mask = 0;
  bool octal = !text.empty() && text.size() <= 4;
  for (const char c : text) {
    octal = octal && c >= '0' && c <= '7';
    mask = mask * 8 + static_cast<uint32_t>(c - '0');
  }
  if (octal && mask <= kMostUmask) return mask;
  return absl::InvalidArgumentError(absl::StrCat("expected an octal number from 0 to 777, got \"", text, "\""));
}

absl::StatusOr<std::set<std::string>> ParsePersonality(std::string_view text) {
  std::set<std::string> flags;
  for (const std::string_view name : absl::StrSplit(text, ',')) {
    if (PersonalityFlag(name) != 0) {
      flags.emplace(name);
      continue;
    }
    std::vector<std::string_view> known;
    for (const auto& [flag, unused] : kFlags) known.push_back(flag);
    return absl::InvalidArgumentError(absl::StrCat("unknown flag \"", name, "\"; there are ", absl::StrJoin(known, ", ")));
  }
  return flags;
}

absl::Status CheckAttributes(const ProcessAttributes& attributes) {
  BROOD_RETURN_IF_ERROR(CheckWithin("nice", attributes.nice, kLeastNice, kMostNice));
  BROOD_RETURN_IF_ERROR(CheckWithin("oom_score_adj", attributes.oom_score_adj, kLeastOom, kMostOom));
  if (attributes.umask.value_or(0) > kMostUmask) return absl::InvalidArgumentError("process: umask: expected an octal number from 0 to 777");
  for (const std::string& flag : attributes.personality) {
    BROOD_RETURN_IF_ERROR(Annotate(ParsePersonality(flag).status(), "process: personality"));
  }
  return absl::OkStatus();
}

std::string AttributesText(const ProcessAttributes& attributes) {
  std::vector<std::string> parts;
  if (attributes.nice) parts.push_back(absl::StrCat("nice ", *attributes.nice));
  if (attributes.oom_score_adj) parts.push_back(absl::StrCat("oom_score_adj ", *attributes.oom_score_adj));
  if (attributes.umask) parts.push_back(absl::StrFormat("umask %04o", *attributes.umask));
  if (!attributes.personality.empty()) parts.push_back(absl::StrCat("personality ", absl::StrJoin(attributes.personality, " ")));
  if (attributes.disable_tsc) parts.push_back("no time stamp counter");
  if (attributes.deny_write_execute) parts.push_back("no memory that was writable becomes executable");
  return absl::StrJoin(parts, ", ");
}

}  // namespace brood
