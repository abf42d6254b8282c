#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/child_safe.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "forkserver/birth.h"
#include "forkserver/status_text.h"

namespace brood::internal {
namespace {

constexpr char kOomFile[] = "/proc/self/oom_score_adj";
constexpr int kIoprioWhoProcess = 1;  // ioprio_set(2)
constexpr size_t kProcessorWords = 128;  // 8,192 processors, as many as the kernel can be built for.

int OomScoreAdj() {
  char text[32];
  return child::ReadFile(AT_FDCWD, kOomFile, text, sizeof(text)) > 0 ? atoi(text) : 0;
}

// Of the calling thread.
long Processors(uint64_t* words) { return syscall(SYS_sched_getaffinity, 0, kProcessorWords * 8, words); }

// Of the calling process, what can change without another server. False with errno.
bool Ask(Birth& birth) {
  if (syscall(SYS_sched_getattr, 0, &birth.scheduling, sizeof(birth.scheduling), 0) != 0) return false;
  birth.processors.resize(kProcessorWords);
  const long bytes = Processors(birth.processors.data());
  if (bytes < 0) return false;
  birth.processors.resize(static_cast<size_t>(bytes) / 8);
  birth.io_priority = static_cast<int>(syscall(SYS_ioprio_get, kIoprioWhoProcess, 0));
  birth.oom_score_adj = OomScoreAdj();
  return true;
}

}  // namespace

absl::StatusOr<mode_t> FileMaskOf(std::string_view status_text) {
  // umask(2) itself cannot look without changing, which another thread would notice. proc(5), "Umask".
  const std::string mask(StatusField(status_text, "Umask"));
  if (mask.empty()) return absl::FailedPreconditionError("forkserver: the kernel does not tell the umask in /proc; see proc(5)");
  return static_cast<mode_t>(strtoul(mask.c_str(), nullptr, 8));
}

absl::StatusOr<Birth> CaptureBirth() {
  Birth birth;
  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    if (getrlimit(static_cast<__rlimit_resource>(resource), &birth.rlimits[static_cast<size_t>(resource)]) != 0) {
      return ErrnoStatus(errno, "getrlimit");
    }
  }
  if (!Ask(birth)) return ErrnoStatus(errno, "sched_getattr", "and sched_getaffinity");
  birth.process_group = getpgrp();
  return birth;
}

const char* ApplyBirth(const Birth& birth, const Birth* own) {
  if (birth.cwd >= 0 && fchdir(birth.cwd) != 0) return "change to the caller's working directory";
  umask(birth.file_mask);
  if (own == nullptr && getpgrp() != birth.process_group && setpgid(0, birth.process_group) != 0) return "enter the caller's process group";
  Birth now;
  if (own == nullptr && !Ask(now)) return "read the scheduling policy";
  const Birth& has = own != nullptr ? *own : now;
  if (has.processors != birth.processors &&
      syscall(SYS_sched_setaffinity, 0, birth.processors.size() * 8, birth.processors.data()) != 0) {
    return "have the caller's set of processors";
  }
  // The kernel takes the flag off in a fork, and what it stands for. sched(7), "Resetting scheduling policy".
  constexpr uint64_t kResetOnFork = 1;
  const bool same = has.scheduling == birth.scheduling || (birth.scheduling.flags & kResetOnFork) != 0;
  if (!same && syscall(SYS_sched_setattr, 0, &birth.scheduling, 0) != 0) return "have the caller's scheduling and nice value";
  if (birth.io_priority >= 0 && has.io_priority != birth.io_priority &&
      syscall(SYS_ioprio_set, kIoprioWhoProcess, 0, birth.io_priority) != 0) {
    return "have the caller's I/O priority";
  }
  if (has.oom_score_adj != birth.oom_score_adj) {
    child::Text<16> text;
    if (birth.oom_score_adj < 0) text.Add("-");
    text.AddNumber(static_cast<uint64_t>(std::abs(birth.oom_score_adj)));
    const int error = child::WriteFile(AT_FDCWD, kOomFile, text.c_str(), text.length());
    if (error != 0) {
      errno = error;
      return "have the caller's oom_score_adj";
    }
  }
  // Last: a lower limit of open files, or of file sizes, must not disturb what is above.
  for (size_t i = 0; i < birth.rlimits.size(); ++i) {
    const auto resource = static_cast<__rlimit_resource>(i);
    rlimit limit = own != nullptr ? own->rlimits[i] : rlimit();
    const bool known = own != nullptr || getrlimit(resource, &limit) == 0;
    if (known && limit.rlim_cur == birth.rlimits[i].rlim_cur && limit.rlim_max == birth.rlimits[i].rlim_max) continue;
    if (setrlimit(resource, &birth.rlimits[i]) != 0) return "have the caller's resource limits";
  }
  return nullptr;
}

}  // namespace brood::internal
