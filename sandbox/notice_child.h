// What a filter says to the guardian, and the filter run once more to learn it.
//
// Calls that the guardian has to look at all return SECCOMP_RET_USER_NOTIF. What is wanted of it stands in the 16 bits of
// data beside that, which the kernel neither uses nor passes on (seccomp(2)), so the guardian runs the filter on what it was
// told of the call.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_NOTICE_CHILD_H_
#define BROOD_SANDBOX_NOTICE_CHILD_H_

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>

namespace brood {

enum class Notice : uint16_t {
  kViolation,        // To be reported and ended.
  kReport,           // To be counted, and let through.
  kConnect,          // To be made by the guardian.
  kReportedConnect,  // Both: to be counted besides.
};

constexpr const char* NoticeName(Notice notice) {
  switch (notice) {
    case Notice::kViolation:
      return "violation";
    case Notice::kReport:
      return "report";
    case Notice::kConnect:
      return "connect";
    case Notice::kReportedConnect:
      return "report, connect";
  }
  return "unknown";
}

constexpr uint32_t NoticeAction(Notice notice) { return SECCOMP_RET_USER_NOTIF | static_cast<uint32_t>(notice); }

namespace child {

// What `filter` returns for a call: the kernel's own rules for classic BPF. bpf(4), seccomp(2).
uint32_t RunFilter(const sock_filter* filter, size_t length, const seccomp_data& call);

}  // namespace child
}  // namespace brood

#endif  // BROOD_SANDBOX_NOTICE_CHILD_H_
