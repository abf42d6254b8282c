#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "forkserver/fingerprint.h"
#include "forkserver/status_text.h"

namespace brood::internal {

std::string Fingerprint(std::string_view status_text) {
  std::string print;
  for (const char* name : {"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
                           "Seccomp_filters"}) {
    absl::StrAppend(&print, StatusField(status_text, name), ";");
  }
  // The files of a namespace are equal if it is. namespaces(7).
  for (const char* path : {"/", "/proc/thread-self/ns/mnt", "/proc/thread-self/ns/user", "/proc/thread-self/ns/net",
                           "/proc/thread-self/ns/ipc", "/proc/thread-self/ns/uts", "/proc/thread-self/ns/cgroup",
                           "/proc/thread-self/ns/pid_for_children", "/proc/thread-self/ns/time_for_children"}) {
    struct stat about = {};
    if (stat(path, &about) == 0) absl::StrAppend(&print, about.st_dev, ":", about.st_ino, ";");
  }
  for (const char* path : {"/proc/thread-self/cgroup", "/proc/thread-self/attr/current"}) {
    char text[4096];
    const long length = child::ReadFile(AT_FDCWD, path, text, sizeof(text));
    if (length > 0) absl::StrAppend(&print, std::string_view(text, static_cast<size_t>(length)), ";");
  }
  absl::StrAppend(&print, getsid(0));
  return print;
}

}  // namespace brood::internal
