#include "serve/own_processes.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/unique_fd.h"

namespace brood::internal {
namespace {

constexpr size_t kMaxChildren = 4096;  // That are looked at: others wait for that.

std::string Read(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(65536, '\0');
  const ssize_t n = file.valid() ? read(file.get(), text.data(), text.size()) : 0;
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return text;
}

std::vector<int> ChildrenOf(int pid) {
  std::vector<int> children;
  for (const std::string_view word : absl::StrSplit(Read(absl::StrCat("/proc/", pid, "/task/", pid, "/children")), ' ', absl::SkipEmpty())) {
    int child = 0;
    if (children.size() < kMaxChildren && absl::SimpleAtoi(word, &child)) children.push_back(child);
  }
  return children;
}

std::string NameOf(int pid) { return Read(absl::StrCat("/proc/", pid, "/comm")); }

uint64_t ResidentBytes(int pid) {
  const std::vector<std::string> fields = absl::StrSplit(Read(absl::StrCat("/proc/", pid, "/statm")), ' ');
  uint64_t pages = 0;
  if (fields.size() < 2 || !absl::SimpleAtoi(fields[1], &pages)) return 0;
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

namespace {

void Count(pid_t pid, OwnProcesses& own) {
  own.forkserver_bytes += ResidentBytes(pid);
  for (const int child : ChildrenOf(pid)) {
    const std::string name = NameOf(child);
    if (name == "brood-keeper\n") ++own.keepers;  // Its memory is the server's. clone(2), CLONE_VM
    if (name != "brood-server\n") continue;
    ++own.servers;
    own.forkserver_bytes += ResidentBytes(child);
  }
}

}  // namespace

OwnProcesses CountOwnProcesses(const std::vector<pid_t>& supervisors) {
  OwnProcesses own;
  own.own_bytes = ResidentBytes(getpid());
  for (const pid_t supervisor : supervisors) Count(supervisor, own);
  return own;
}

}  // namespace brood::internal
