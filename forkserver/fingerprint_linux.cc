#include <fcntl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/unique_fd.h"
#include "forkserver/fingerprint.h"
#include "forkserver/status_text.h"

namespace brood::internal {

std::string Fingerprint(std::string_view status_text) {
  std::string print;
  for (const char* name : {"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
                           "Seccomp_filters"}) {
    absl::StrAppend(&print, StatusField(status_text, name), ";");
  }
  struct stat root = {};
  if (stat("/", &root) == 0) absl::StrAppend(&print, root.st_dev, ":", root.st_ino, ";");
  // The text of the link has the namespace's inode, and is a third of what stat(2) of its file costs. namespaces(7).
  const UniqueFd namespaces(open("/proc/thread-self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (const char* name : {"mnt", "user", "net", "ipc", "uts", "cgroup", "pid_for_children", "time_for_children"}) {
    char text[64];
    const ssize_t length = readlinkat(namespaces.get(), name, text, sizeof(text));
    if (length > 0) absl::StrAppend(&print, std::string_view(text, static_cast<size_t>(length)), ";");
  }
  char text[4096];
  const auto add = [&](const char* path) {
    const long length = child::ReadFile(AT_FDCWD, path, text, sizeof(text));
    if (length > 0) absl::StrAppend(&print, std::string_view(text, static_cast<size_t>(length)), ";");
    return length;
  };
  add("/proc/thread-self/cgroup");
  // Which security modules there are is settled when the machine starts: without one that has labels it is EINVAL for ever.
  static std::atomic<bool> has_labels = true;
  if (has_labels && add("/proc/thread-self/attr/current") < 0 && errno == EINVAL) has_labels = false;
  // Both outlive an exec, and flags such as ADDR_NO_RANDOMIZE act in it: a child could be given them too late only.
  // capabilities(7), personality(2).
  absl::StrAppend(&print, getsid(0), ";", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), ";", personality(0xffffffff));
  return print;
}

}  // namespace brood::internal
