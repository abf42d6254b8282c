#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "forkserver/fingerprint.h"
#include "forkserver/preload_traces.h"
#include "forkserver/status_text.h"

namespace brood::internal {
namespace {

constexpr char kCoreFilter[] = "/proc/self/coredump_filter";

struct Setting {
  int get, set;
  int first;  // Of two arguments; negative: there is one.
  const char* name;
};
constexpr Setting kProcessSettings[] = {
    {PR_GET_TIMERSLACK, PR_SET_TIMERSLACK, -1, "the timer slack"},
    {PR_GET_THP_DISABLE, PR_SET_THP_DISABLE, -1, "whether it has huge pages"},
    {PR_MCE_KILL_GET, PR_MCE_KILL, PR_MCE_KILL_SET, "what a memory error does to it"},
};

std::string CoreFilter() {
  char text[32];
  return child::ReadFile(AT_FDCWD, kCoreFilter, text, sizeof(text)) > 0 ? absl::StrCat("0x", text) : "";
}

// proc(5), /proc/pid/stat: "1234 (name) S ...". Empty: it has ended, and nobody has waited for it.
std::string NameOfRunning(pid_t pid) {
  char text[512];
  if (child::ReadFile(AT_FDCWD, absl::StrCat("/proc/", pid, "/stat").c_str(), text, sizeof(text)) <= 0) return "";
  const char* const begin = strchr(text, '(');
  const char* const end = strrchr(text, ')');
  if (begin == nullptr || end == nullptr || end[1] != ' ' || end[2] == 'Z' || end[2] == 'X') return "";
  return std::string(begin + 1, end);
}

}  // namespace

absl::StatusOr<PreloadTraces> PreloadTraces::Take() {
  PreloadTraces traces;
  BROOD_ASSIGN_OR_RETURN(const std::string status, ReadStatusText());
  BROOD_ASSIGN_OR_RETURN(traces.birth_, CaptureBirth());
  BROOD_ASSIGN_OR_RETURN(traces.birth_.file_mask, FileMaskOf(status));
  for (size_t i = 0; i < kSettings; ++i) traces.settings_[i] = prctl(kProcessSettings[i].get, 0, 0, 0, 0);
  traces.core_filter_ = CoreFilter();
  traces.fingerprint_ = Fingerprint(status);
  return traces;
}

absl::Status PreloadTraces::Remove(int watch) const {
  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    const rlimit& before = birth_.rlimits[static_cast<size_t>(resource)];
    rlimit now = {};
    const auto which = static_cast<__rlimit_resource>(resource);
    if (getrlimit(which, &now) == 0 && now.rlim_cur == before.rlim_cur && now.rlim_max == before.rlim_max) continue;
    if (setrlimit(which, &before) == 0) continue;
    return absl::FailedPreconditionError(absl::StrCat("limits: it has lowered a hard limit of resources (setrlimit(2), resource ", resource, ") from ",
                                                      before.rlim_max, " to ", now.rlim_max, ", and no child could have another; do that in the children"));
  }
  BROOD_ASSIGN_OR_RETURN(const std::string status, ReadStatusText());
  if (Fingerprint(status) != fingerprint_) {
    return absl::FailedPreconditionError(
        "rights: it has changed the ids, capabilities, no_new_privs, seccomp filters, namespaces, root, session, cgroup, securebits or personality of "
        "the server, which no child could have as its caller has them; do that in the children");
  }
  BROOD_RETURN_IF_ERROR(PutBack());
  return EndProcesses(watch);
}

// Each child gets that of its caller, but one in a sandbox that is kept may not change what it has by then.
absl::Status PreloadTraces::PutBack() const {
  if (const char* const failed = ApplyBirth(birth_); failed != nullptr) {
    return ErrnoStatus(errno, absl::StrCat("surroundings: put back what it has changed: ", failed), "", "do that in the children");
  }
  for (size_t i = 0; i < kSettings; ++i) {
    const Setting& setting = kProcessSettings[i];
    const int now = prctl(setting.get, 0, 0, 0, 0);
    const bool has_first = setting.first >= 0;
    if (now == settings_[i] || prctl(setting.set, has_first ? setting.first : settings_[i], has_first ? settings_[i] : 0, 0, 0) == 0) continue;
    return ErrnoStatus(errno, absl::StrCat("surroundings: put back what it has changed: ", setting.name), "", "do that in the children");
  }
  if (CoreFilter() == core_filter_) return absl::OkStatus();
  const int error = child::WriteFile(AT_FDCWD, kCoreFilter, core_filter_.c_str(), core_filter_.size());
  return error == 0 ? absl::OkStatus() : ErrnoStatus(error, "surroundings: put back", kCoreFilter, "do that in the children");
}

absl::Status PreloadTraces::EndProcesses(int watch) {
  char text[65536];
  const std::string path = absl::StrCat("/proc/self/task/", getpid(), "/children");
  std::vector<std::string> left;
  // Once more after each: what a process leaves is ours when it has ended. prctl(2), PR_SET_CHILD_SUBREAPER
  for (bool found = true; found;) {
    found = false;
    if (child::ReadFile(AT_FDCWD, path.c_str(), text, sizeof(text)) <= 0) break;
    for (const char* at = text; *at != '\0';) {
      const auto pid = static_cast<pid_t>(child::ParseNumber(at));
      const char* const next = strchr(at, ' ');
      if (pid > 0 && pid != watch) {
        const std::string name = NameOfRunning(pid);
        if (!name.empty()) left.push_back(absl::StrCat(name, " (process ", pid, ")"));
        kill(pid, SIGKILL);
        while (waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
        }
        found = true;
      }
      if (next == nullptr) break;
      at = next + 1;
    }
  }
  if (left.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("processes: it left ", left.size(), " process(es) running, which were killed: ", absl::StrJoin(left, ", "),
                                                    "; nobody would end them with the server; start them in the children, or wait for their end"));
}

}  // namespace brood::internal
