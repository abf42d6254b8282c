#include "sandbox/learn/rule_text.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace brood {
namespace {

struct Selector {
  std::string_view syscall;
  unsigned index;
};
constexpr Selector kSelectors[] = {{"socket", 0}, {"socketpair", 0}, {"ioctl", 1}, {"prctl", 0}, {"personality", 0}};

}  // namespace

std::string QuotedJson(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string AllowRuleText(std::string_view syscall, const std::array<uint64_t, 6>& args) {
  std::string comparison;
  for (const Selector& selector : kSelectors) {
    if (selector.syscall != syscall) continue;
    comparison = absl::StrFormat("\"args\": [{\"index\": %d, \"op\": \"==\", \"value\": \"0x%x\", \"width\": 32}], ", selector.index,
                                 args[selector.index] & 0xffffffff);
  }
  // CLONE_NEW*, and CLONE_INTO_CGROUP's neighbour CLONE_NEWTIME is not one of clone's. clone(2).
  if (syscall == "clone") comparison = R"("args": [{"index": 0, "op": "&==", "value": "0", "mask": "0x7e020000"}], )";
  return absl::StrCat("{\"names\": [", QuotedJson(syscall), "], ", comparison, "\"action\": \"allow\"}");
}

}  // namespace brood
