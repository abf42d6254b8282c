#include "sandbox/learn/rule_text.h"

#include <fcntl.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "sandbox/learn/json_text.h"

namespace brood {
namespace {

// Calls that are many in one: the argument that says which, an int.
struct Selector {
  std::string_view syscall;
  unsigned index;
};
constexpr Selector kSelectors[] = {{"socket", 0}, {"socket", 2}, {"socketpair", 0}, {"ioctl", 1},      {"prctl", 0}, {"arch_prctl", 0},
                                   {"fcntl", 1},  {"fcntl64", 1},    {"personality", 0}, {"seccomp", 0}};

// Bits of which a program needs only those that it used.
struct Bits {
  std::string_view syscall;
  unsigned index;
  uint64_t mask;
};
constexpr uint64_t kSetIds = 06000;
constexpr uint64_t kSocketType = 0xf;  // Without SOCK_CLOEXEC and SOCK_NONBLOCK. socket(2).
constexpr uint64_t kNewNamespaces = 0x7e020000;  // CLONE_NEW*, but CLONE_NEWTIME, which is not one of clone's. clone(2).
constexpr Bits kBits[] = {{"socket", 1, kSocketType},   {"clone", 0, kNewNamespaces}, {"unshare", 0, kNewNamespaces | 0x80}, {"chmod", 1, kSetIds},
                          {"fchmod", 1, kSetIds},       {"creat", 1, kSetIds},               {"mknod", 1, kSetIds},
                          {"fchmodat", 2, kSetIds},     {"fchmodat2", 2, kSetIds},           {"mknodat", 2, kSetIds}};

constexpr uint64_t kTemporary = O_TMPFILE & ~O_DIRECTORY;

std::string BitsText(unsigned index, uint64_t value, uint64_t mask) {
  return absl::StrFormat(R"({"index": %d, "op": "&==", "value": "0x%x", "mask": "0x%x"})", index, value & mask, mask);
}

}  // namespace

std::string AllowRuleText(std::string_view syscall, const std::array<uint64_t, 6>& args) {
  std::vector<std::string> comparisons;
  for (const Selector& selector : kSelectors) {
    if (selector.syscall != syscall) continue;
    comparisons.push_back(absl::StrFormat(R"({"index": %d, "op": "==", "value": "0x%x", "width": 32})", selector.index,
                                          args[selector.index] & 0xffffffff));
  }
  for (const Bits& bits : kBits) {
    if (bits.syscall == syscall) comparisons.push_back(BitsText(bits.index, args[bits.index], bits.mask));
  }
  // Only an open that makes a file has a mode. open(2).
  if (syscall == "open" || syscall == "openat") {
    const unsigned flags = syscall == "open" ? 1 : 2;
    const uint64_t makes = args[flags] & (O_CREAT | kTemporary);
    comparisons.push_back(BitsText(flags, makes, O_CREAT | kTemporary));
    if (makes != 0) comparisons.push_back(BitsText(flags + 1, args[flags + 1], kSetIds));
  }
  const std::string all = comparisons.empty() ? "" : absl::StrCat("\"args\": [", absl::StrJoin(comparisons, ", "), "], ");
  return absl::StrCat("{\"names\": [", QuotedJson(syscall), "], ", all, "\"action\": \"allow\"}");
}

}  // namespace brood
