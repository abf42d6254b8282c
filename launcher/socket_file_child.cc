#include "launcher/socket_file_child.h"

#include <fcntl.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstring>

#include "base/child_safe.h"
#include "sandbox/mount_api_child.h"

namespace brood::child {
namespace {

constexpr int kNoChilds = -2;  // Nothing on the way is the child's to write.

bool IsWritten(const ChildPlan& plan, int directory) {
  Text<48> link;
  link.Add("/proc/self/fd/").AddNumber(static_cast<uint64_t>(directory));
  char place[PATH_MAX];
  const ssize_t length = readlink(link.c_str(), place, sizeof(place) - 1);
  if (length <= 0) return true;  // Who knows.
  place[length] = '\0';
  for (size_t i = 0; i < plan.mount_count; ++i) {
    const MountStep& step = plan.mounts[i];
    const bool shown = step.kind == MountStep::Kind::kBind && !step.device && (step.attributes & MOUNT_ATTR_RDONLY) == 0;
    if ((!shown && step.kind != MountStep::Kind::kChanges) || step.source == nullptr) continue;
    const size_t size = strlen(step.source);
    if (size > 1 && strncmp(place, step.source, size) == 0 && (place[size] == '/' || place[size] == '\0')) return true;
  }
  return false;
}

// An O_PATH descriptor of the socket's file, -1 and errno, or kNoChilds. The way to what the child may write to is the caller's.
int OpenSocketFile(const ChildPlan& plan, const char* path) {
  char above[sizeof(sockaddr_un::sun_path) + 1];
  for (const char* slash = strchr(path, '/'); slash != nullptr; slash = strchr(slash + 1, '/')) {
    const size_t length = slash == path ? 1 : static_cast<size_t>(slash - path);
    memcpy(above, path, length);
    above[length] = '\0';
    const int directory = open(above, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return -1;
    if (IsWritten(plan, directory)) {
      const int file = OpenAt2(directory, slash + 1, O_PATH | O_CLOEXEC, RESOLVE_NO_SYMLINKS);
      const int error = errno;
      close(directory);
      errno = error;
      return file;
    }
    close(directory);
  }
  return kNoChilds;
}

}  // namespace

int ConnectAsListed(const ChildPlan& plan, int socket, const sockaddr_storage& address, socklen_t length) {
  const auto* const given = reinterpret_cast<const sockaddr*>(&address);
  const auto* const local = reinterpret_cast<const sockaddr_un*>(&address);
  if (address.ss_family != AF_UNIX || local->sun_path[0] == '\0') return connect(socket, given, length);
  char path[sizeof(local->sun_path) + 1] = {};
  memcpy(path, local->sun_path, strnlen(local->sun_path, length - offsetof(sockaddr_un, sun_path)));
  const int file = OpenSocketFile(plan, path);
  if (file == kNoChilds) return connect(socket, given, length);
  if (file < 0) return -1;
  Text<48> name;
  name.Add("/proc/self/fd/").AddNumber(static_cast<uint64_t>(file));
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  CopyText(to.sun_path, sizeof(to.sun_path), name.c_str());
  const int result = connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
  const int error = errno;
  close(file);
  errno = error;
  return result;
}

}  // namespace brood::child
