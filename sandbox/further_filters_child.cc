#include "sandbox/further_filters_child.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/child_safe.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

// Since Linux 5.9. proc(5), /proc/pid/status
constexpr char kKey[] = "Seccomp_filters:";
constexpr uint64_t kUnknown = ~uint64_t{0};

// pread64(2) alone: under the filters nothing else may be allowed.
uint64_t CountFilters(int status) {
  char text[8192];
  const long length = pread(status, text, sizeof(text) - 1, 0);
  if (length <= 0) return kUnknown;
  text[length] = '\0';
  return NumberAfter(text, kKey, kUnknown);
}

}  // namespace

bool LoadFurtherFilters(const ChildPlan& plan, SetupMessage* failure) {
  if (plan.further_filter_count == 0) return true;
  const bool looks = plan.read_back && plan.further_filters_let_read;
  const int status = looks ? open("/proc/self/status", O_RDONLY | O_CLOEXEC) : -1;
  if (looks && status < 0) return Fail(failure, "read_back", errno, "open /proc/self/status");
  const uint64_t before = looks ? CountFilters(status) : kUnknown;
  for (size_t i = 0; i < plan.further_filter_count; ++i) {
    const FurtherFilter& filter = plan.further_filters[i];
    sock_fprog program = {filter.length, const_cast<sock_filter*>(filter.program)};
    const unsigned long flags = plan.filter_allows_speculation ? SECCOMP_FILTER_FLAG_SPEC_ALLOW : 0;
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0) continue;
    return Fail(failure, "seccomp", errno, "load the filter of ", filter.path);
  }
  if (before == kUnknown) {
    if (looks) close(status);  // A kernel that does not count them.
    return true;
  }
  const uint64_t after = CountFilters(status);
  close(status);
  if (after == before + plan.further_filter_count) return true;
  Text<sizeof(SetupMessage::detail)> detail;
  detail.Add("seccomp: expected ").AddNumber(before + plan.further_filter_count).Add(" filters, seen ").AddNumber(after);
  return Fail(failure, "read_back", 0, detail.c_str());
}

}  // namespace brood::child
