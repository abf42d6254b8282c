#include "serve/descriptors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood::internal {
namespace {

// null, zero, full, random, urandom and tty; consoles; terminals and their other ends. Documentation/admin-guide/devices.txt
bool IsHarmlessDevice(unsigned major, unsigned minor) {
  if (major == 1) return minor == 3 || minor == 5 || minor == 7 || minor == 8 || minor == 9;
  return major == 5 || (major >= 136 && major <= 143);
}

absl::Status Check(int fd, std::string_view field, const DescriptorRules& rules) {
  const int flags = fcntl(fd, F_GETFL);
  struct statx about = {};
  // What the kernel knows without asking a server of files, who may not answer. statx(2), AT_STATX_DONT_SYNC
  if (flags < 0 || statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &about) != 0) {
    return ErrnoStatus(errno, "request", field);
  }
  const auto refused = [&](std::string_view why) { return absl::PermissionDeniedError(absl::StrCat("request: ", field, ": ", why)); };
  const unsigned type = about.stx_mode & S_IFMT;
  if (rules.own_root && type == S_IFDIR) {
    return refused("is a directory, through which the child could leave its root");
  }
  if (rules.own_root && (flags & O_PATH) != 0) return refused("is only a path (O_PATH), which the child could open with more rights");
  if (rules.same_user) return absl::OkStatus();
  if ((flags & O_PATH) == 0) {
    if (type == S_IFIFO) return absl::OkStatus();
    if (type == S_IFCHR && IsHarmlessDevice(about.stx_rdev_major, about.stx_rdev_minor)) return absl::OkStatus();
    if (type == S_IFREG && fcntl(fd, F_GET_SEALS) >= 0) return absl::OkStatus();  // memfd_create(2)
  }
  return refused("the server is another user's, whose child could open that file again with other rights; give a pipe (cat FILE |)");
}

}  // namespace

absl::Status CheckDescriptors(const RemoteLaunch& launch, const DescriptorRules& rules) {
  constexpr const char* kStreams[] = {"stdin", "stdout", "stderr"};
  for (int number = 0; number < 3; ++number) {
    if (launch.streams[number].fd < 0) continue;
    BROOD_RETURN_IF_ERROR(Check(launch.streams[number].fd, kStreams[number], rules));
  }
  for (const InheritedFd& inherited : launch.inherited) {
    BROOD_RETURN_IF_ERROR(Check(inherited.fd, absl::StrCat("inherited ", inherited.child_fd), rules));
  }
  if (!launch.is_function()) return absl::OkStatus();
  BROOD_RETURN_IF_ERROR(Check(launch.message, "message", rules));
  return Check(launch.result, "result", rules);
}

}  // namespace brood::internal
