#include "serve/ancestors.h"

#include <fcntl.h>
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

// 0: it is the first, or its parent is not seen here. Errors: Unavailable (it has ended), those of open(2).
absl::StatusOr<pid_t> ParentOf(pid_t pid) {
  const std::string path = absl::StrCat("/proc/", pid, "/status");
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t n = file.valid() ? read(file.get(), text, sizeof(text)) : -1;
  if (n < 0 && errno != ENOENT && errno != ESRCH) return ErrnoStatus(errno, "look at", path);
  for (const std::string_view line : absl::StrSplit(std::string_view(text, n > 0 ? static_cast<size_t>(n) : 0), '\n')) {
    pid_t parent = 0;
    if (absl::StartsWith(line, "PPid:") && absl::SimpleAtoi(line.substr(5), &parent)) return parent;
  }
  return absl::UnavailableError(absl::StrCat("process ", pid, " has ended"));
}

absl::StatusOr<std::vector<pid_t>> AncestorsNow(pid_t pid) {
  std::vector<pid_t> all;
  while (pid > 0) {
    if (all.size() == kMaxDepth) return absl::ResourceExhaustedError(absl::StrCat("process ", all[0], " has more than ", kMaxDepth, " ancestors"));
    all.push_back(pid);
    BROOD_ASSIGN_OR_RETURN(pid, ParentOf(pid));
  }
  return all;
}

}  // namespace

absl::StatusOr<std::vector<pid_t>> AncestorsOf(pid_t pid) {
  absl::StatusOr<std::vector<pid_t>> all = absl::UnavailableError("no process");
  // Who is below one that has ended has another parent by then.
  for (int i = 0; i < kAttempts && absl::IsUnavailable(all.status()); ++i) all = AncestorsNow(pid);
  return all;
}

}  // namespace brood::internal
