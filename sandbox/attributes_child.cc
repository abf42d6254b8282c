#include "sandbox/attributes_child.h"

#include <fcntl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/child_safe.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

constexpr char kOomFile[] = "/proc/self/oom_score_adj";
constexpr unsigned long kAskPersonality = 0xffffffff;

using Detail = Text<sizeof(SetupMessage::detail)>;

template <size_t kCapacity>
void AddSigned(int value, Text<kCapacity>* text) {
  if (value < 0) text->Add("-");
  text->AddNumber(static_cast<uint64_t>(abs(value)));
}

bool Differs(SetupMessage* failure, const char* what, int64_t expected, int64_t seen) {
  Detail detail;
  detail.Add(what).Add(": expected ");
  AddSigned(static_cast<int>(expected), &detail);
  detail.Add(", seen ");
  AddSigned(static_cast<int>(seen), &detail);
  return Fail(failure, "read_back", 0, detail.c_str());
}

bool ReadBackOomScoreAdj(int expected, SetupMessage* failure) {
  char seen[32];
  const long length = ReadFile(AT_FDCWD, kOomFile, seen, sizeof(seen));
  if (length <= 0) return Fail(failure, "read_back", errno, "read /proc/self/oom_score_adj");
  const int value = seen[0] == '-' ? -static_cast<int>(ParseNumber(seen + 1)) : static_cast<int>(ParseNumber(seen));
  return value == expected || Differs(failure, "oom_score_adj", expected, value);
}

}  // namespace

bool SetOomScoreAdj(const AttributeSteps& steps, SetupMessage* failure) {
  if (!steps.sets_oom_score_adj) return true;
  Text<16> text;
  AddSigned(steps.oom_score_adj, &text);
  const int error = WriteFile(AT_FDCWD, kOomFile, text.c_str(), text.length());
  if (error == 0) return true;
  return Fail(failure, "attributes", error, error == EACCES ? "oom_score_adj: lower than the caller's, to which no child has a right: start brood itself with it" : "oom_score_adj: write /proc/self/oom_score_adj");
}

bool ApplyAttributes(const AttributeSteps& steps, SetupMessage* failure) {
  if (steps.sets_nice && syscall(SYS_setpriority, PRIO_PROCESS, 0, steps.nice) != 0) {
    return Fail(failure, "attributes", errno, errno == EACCES || errno == EPERM ? "nice: lower than the caller's, to which no child has a right: start brood itself with it, as by nice -n" : "nice: setpriority");
  }
  if (steps.sets_umask) umask(static_cast<mode_t>(steps.umask));
  if (steps.personality != 0) {
    const int now = personality(kAskPersonality);
    if (now < 0 || personality(static_cast<unsigned>(now) | steps.personality) < 0) return Fail(failure, "attributes", errno, "personality");
  }
  if (steps.disable_tsc && prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) != 0) return Fail(failure, "attributes", errno, "disable_tsc: PR_SET_TSC");
  if (steps.deny_write_execute && prctl(kPrSetMdwe, kMdweRefuseExecGain, 0, 0, 0) != 0) {
    return Fail(failure, "attributes", errno, "deny_write_execute: PR_SET_MDWE");
  }
  return true;
}

bool ReadBackAttributes(const AttributeSteps& steps, SetupMessage* failure) {
  if (steps.sets_nice) {
    // The call itself gives 20 less, which is never negative. getpriority(2), "C library/kernel differences"
    const int seen = 20 - static_cast<int>(syscall(SYS_getpriority, PRIO_PROCESS, 0));
    if (seen != steps.nice) return Differs(failure, "nice", steps.nice, seen);
  }
  if (steps.sets_oom_score_adj && !ReadBackOomScoreAdj(steps.oom_score_adj, failure)) return false;
  if (steps.sets_umask) {
    const mode_t seen = umask(static_cast<mode_t>(steps.umask));
    if (seen != steps.umask) return Differs(failure, "umask", steps.umask, seen);
  }
  if (steps.personality != 0) {
    const auto seen = static_cast<uint32_t>(personality(kAskPersonality));
    if ((seen & steps.personality) != steps.personality) return Differs(failure, "personality", steps.personality, seen);
  }
  int tsc = 0;
  if (steps.disable_tsc && (prctl(PR_GET_TSC, &tsc, 0, 0, 0) != 0 || tsc != PR_TSC_SIGSEGV)) return Differs(failure, "disable_tsc", PR_TSC_SIGSEGV, tsc);
  if (steps.deny_write_execute) {
    const int seen = prctl(kPrGetMdwe, 0, 0, 0, 0);
    if (seen < 0 || (static_cast<unsigned long>(seen) & kMdweRefuseExecGain) == 0) return Differs(failure, "deny_write_execute", 1, seen);
  }
  return true;
}

}  // namespace brood::child
