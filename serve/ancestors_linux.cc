#include "serve/ancestors.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace brood::internal {
namespace {

constexpr size_t kMaxDepth = 4096;
constexpr int kAttempts = 4;

// A process that lives and is not there was there when it ended, or is hidden. hidepid=1 shows its directory and nothing in it. proc(5)
bool IsHidden(pid_t pid, const std::string& path) {
  for (int i = 0; i < 2; ++i) {
    if (kill(pid, 0) != 0 && errno == ESRCH) return false;
    if (access(path.c_str(), R_OK) == 0 || (errno != ENOENT && errno != EPERM)) return false;
  }
  return true;
}

// 0: it is the first, or its parent is not seen here. Errors: Unavailable (it has ended), FailedPrecondition (it is hidden), those of open(2).
absl::StatusOr<pid_t> ParentOf(pid_t pid) {
  const std::string path = absl::StrCat("/proc/", pid, "/status");
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t n = file.valid() ? read(file.get(), text, sizeof(text)) : -1;
  if (n < 0 && (errno == ENOENT || errno == EPERM) && IsHidden(pid, path)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "/proc, mounted with hidepid, does not show process ", pid, " to the server (user ", geteuid(),
        "), which would know whose child asks; mount it with gid=GROUP, of a group that the server's user is in, or give the server CAP_SYS_PTRACE"));
  }
  if (n < 0 && errno != ENOENT && errno != ESRCH) return ErrnoStatus(errno, "look at", path);
  for (const std::string_view line : absl::StrSplit(std::string_view(text, n > 0 ? static_cast<size_t>(n) : 0), '\n')) {
    pid_t parent = 0;
    if (absl::StartsWith(line, "PPid:") && absl::SimpleAtoi(line.substr(5), &parent)) return parent;
  }
  return absl::UnavailableError(absl::StrCat("process ", pid, " has ended"));
}

absl::StatusOr<std::vector<pid_t>> AncestorsNow(pid_t pid, HiddenStranger stranger) {
  std::vector<pid_t> all;
  while (pid > 0) {
    if (all.size() == kMaxDepth) return absl::ResourceExhaustedError(absl::StrCat("process ", all[0], " has more than ", kMaxDepth, " ancestors"));
    all.push_back(pid);
    const absl::StatusOr<pid_t> parent = ParentOf(pid);
    const bool ends = absl::IsFailedPrecondition(parent.status()) && stranger == HiddenStranger::kEndsTheList;
    if (ends && kill(pid, 0) != 0 && errno == EPERM) return all;
    BROOD_ASSIGN_OR_RETURN(pid, parent);
  }
  return all;
}

}  // namespace

absl::StatusOr<std::vector<pid_t>> AncestorsOf(pid_t pid, HiddenStranger stranger) {
  absl::StatusOr<std::vector<pid_t>> all = absl::UnavailableError("no process");
  // Who is below one that has ended has another parent by then.
  for (int i = 0; i < kAttempts && absl::IsUnavailable(all.status()); ++i) all = AncestorsNow(pid, stranger);
  return all;
}

}  // namespace brood::internal
