#include "sandbox/made_files_child.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/child_safe.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

constexpr mode_t kPermissions = 07777;

bool WriteAll(int file, const char* text) {
  for (size_t left = strlen(text); left > 0;) {
    const ssize_t written = write(file, text, left);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text += written;
    left -= static_cast<size_t>(written);
  }
  return true;
}

bool Differs(const MountStep& step, const char* expected, SetupMessage* failure) {
  Text<sizeof(SetupMessage::detail)> detail;
  detail.Add("/").Add(step.target).Add(": expected ").Add(expected).Add(", and it is not");
  return Fail(failure, "read_back", 0, detail.c_str());
}

bool HasMode(const MountStep& step, mode_t kind) {
  struct stat about = {};
  // A mount may be where a link leads to.
  const int flags = step.kind == MountStep::Kind::kTmpfs ? 0 : AT_SYMLINK_NOFOLLOW;
  return fstatat(AT_FDCWD, step.target, &about, flags) == 0 && (about.st_mode & S_IFMT) == kind &&
         (about.st_mode & kPermissions) == step.mode &&
         (step.kind != MountStep::Kind::kFile || static_cast<size_t>(about.st_size) == strlen(step.text));
}

bool IsLink(const MountStep& step) {
  char text[4096];
  const ssize_t length = readlinkat(AT_FDCWD, step.target, text, sizeof(text));
  return length >= 0 && static_cast<size_t>(length) == strlen(step.text) && memcmp(text, step.text, static_cast<size_t>(length)) == 0;
}

}  // namespace

bool MakeInDirectory(int parent, const char* name, const MountStep& step) {
  if (step.kind == MountStep::Kind::kSymlink) return symlinkat(step.text, parent, name) == 0;
  if (step.kind == MountStep::Kind::kDirectory) return mkdirat(parent, name, step.mode) == 0;
  const int file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, step.mode);
  const bool made = file >= 0 && WriteAll(file, step.text);
  const int error = errno;
  if (file >= 0) close(file);
  errno = error;
  return made;
}

bool ReadBackMade(const ChildPlan& plan, SetupMessage* failure) {
  for (size_t i = 0; i < plan.mount_count; ++i) {
    const MountStep& step = plan.mounts[i];
    if (Makes(step) && step.optional) continue;
    if (step.kind == MountStep::Kind::kSymlink && !IsLink(step)) return Differs(step, "the link that the policy says", failure);
    if (step.kind == MountStep::Kind::kFile && !HasMode(step, S_IFREG)) return Differs(step, "the file that the policy says", failure);
    const bool directory = step.kind == MountStep::Kind::kDirectory || step.kind == MountStep::Kind::kTmpfs;
    if (directory && !HasMode(step, S_IFDIR)) return Differs(step, "a directory of the mode that the policy says", failure);
  }
  return true;
}

}  // namespace brood::child
