#include "serve/ancestors.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/unique_fd.h"

namespace brood::internal {
namespace {

constexpr size_t kMaxDepth = 4096;

// The number behind "NAME:" in a file of /proc; 0 if there is none.
pid_t NumberIn(const std::string& path, std::string_view name) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t n = file.valid() ? read(file.get(), text, sizeof(text)) : 0;
  for (const std::string_view line : absl::StrSplit(std::string_view(text, n > 0 ? static_cast<size_t>(n) : 0), '\n')) {
    pid_t number = 0;
    if (absl::StartsWith(line, name) && absl::SimpleAtoi(line.substr(name.size()), &number)) return number;
  }
  return 0;
}

}  // namespace

std::vector<pid_t> AncestorsOf(pid_t pid) {
  std::vector<pid_t> all;
  while (pid > 0 && all.size() < kMaxDepth) {
    all.push_back(pid);
    pid = NumberIn(absl::StrCat("/proc/", pid, "/status"), "PPid:");
  }
  return all;
}

}  // namespace brood::internal
