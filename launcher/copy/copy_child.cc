#include "launcher/copy/copy_child.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "base/child_safe.h"
#include "sandbox/mount_api_child.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

constexpr size_t kPiece = 16 << 10;
constexpr long kProc = 0x9fa0, kSys = 0x62656572, kCgroup = 0x27e0eb, kCgroup2 = 0x63677270;

int Open(int directory, const char* path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  open_how how = {};
  how.flags = flags;
  how.mode = mode;
  how.resolve = resolve;
  return OpenAt2(directory, path, how);
}

// Copies to the end of `from`, but no more than `max_bytes` and one byte, which tells that there is more.
int Copy(int from, int to, uint64_t max_bytes, uint64_t* bytes, bool* to_failed) {
  char buffer[kPiece];
  *to_failed = false;
  while (*bytes <= max_bytes) {
    const uint64_t left = max_bytes - *bytes;
    const size_t wanted = left < sizeof(buffer) ? static_cast<size_t>(left) + 1 : sizeof(buffer);
    const ssize_t n = read(from, buffer, wanted);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) return 0;
    for (ssize_t done = 0; done < n;) {
      const ssize_t written = write(to, buffer + done, static_cast<size_t>(n - done));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        *to_failed = true;
        return written < 0 ? errno : EIO;
      }
      done += written;
    }
    *bytes += static_cast<uint64_t>(n);
  }
  return 0;
}

// Makes the directories above `path`, and gives the last of them; -1: `failure` is told. Each is entered before the next is made in it:
// a link that an earlier child planted in a directory of the host leads to no other.
int MakeParents(const char* path, const char** name, SetupMessage* failure) {
  int directory = Open(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0);
  *name = path + 1;
  while (const char* const slash = directory >= 0 ? strchr(*name, '/') : nullptr) {
    char part[NAME_MAX + 1];
    const size_t length = static_cast<size_t>(slash - *name);
    int next = -1;
    errno = ENAMETOOLONG;
    if (length < sizeof(part)) {
      memcpy(part, *name, length);
      part[length] = '\0';
      if (mkdirat(directory, part, 0755) == 0 || errno == EEXIST || errno == EROFS) {
        next = Open(directory, part, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
      }
    }
    const int error = errno;
    close(directory);
    errno = error;
    directory = next;
    *name = slash + 1;
  }
  if (directory < 0) Fail(failure, "copy-in", errno, "make the directory of ", path);
  return directory;
}

bool IsOfTheKernel(int fd) {
  struct statfs about = {};
  if (fstatfs(fd, &about) != 0) return true;
  const auto type = static_cast<long>(about.f_type);
  return type == kProc || type == kSys || type == kCgroup || type == kCgroup2;
}

}  // namespace

bool CopyFilesIn(const CopyRecord& record, SetupMessage* failure) {
  for (size_t i = 0; i < record.in_count; ++i) {
    const auto& [source, destination, mode] = record.in[i];
    const char* name = nullptr;
    const int directory = MakeParents(destination, &name, failure);
    if (directory < 0) return false;
    const int to = Open(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOCTTY | O_CLOEXEC, mode, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
    const int open_error = errno;
    close(directory);
    errno = open_error;
    if (to < 0) return Fail(failure, "copy-in", errno, "make ", destination);
    uint64_t bytes = 0;
    bool to_failed = false;
    const int error = Copy(source, to, UINT64_MAX - 1, &bytes, &to_failed);
    close(to);
    if (error != 0) return Fail(failure, "copy-in", error, to_failed ? "write " : "read what goes to ", destination);
  }
  return true;
}

bool OpenCopyPlaces(const CopyRecord& record, CopyPlace* places, SetupMessage* failure) {
  for (size_t i = 0; i < record.out_count; ++i) {
    const char* source = record.out[i].source;
    char path[PATH_MAX];
    CopyText(path, sizeof(path), source);
    size_t length = strlen(path);
    while (places[i].directory < 0) {
      // One component less; what is left of "/" is "/".
      while (length > 1 && path[length - 1] != '/') --length;
      path[length] = '\0';
      // An earlier child may have planted a link in a directory of the host: it would name a file that no child can read.
      const int directory = Open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
      if (directory < 0 && length <= 1) return Fail(failure, "copy-out", errno, "open the directory of ", source);
      places[i].directory = directory;
      places[i].rest = static_cast<uint16_t>(length);
      if (length > 1) --length;
    }
    // A file that is mounted there, such as /dev/zero, is gone with the mounts, and what is below it is none of the child's.
    const int there = Open(places[i].directory, source + places[i].rest, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0,
                           RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
    const int error = errno;
    if (there >= 0) close(there);
    if (there < 0 && error == EXDEV) return Fail(failure, "copy-out", error, "a mount of its own: ", source);
  }
  return true;
}

CopyResult CopyFileOut(const CopyOutRecord& record, const CopyPlace& place) {
  if (place.directory < 0) return {};
  // Not waiting for who would write into a FIFO, nor for a device. The child's mounts are gone with their namespace; the
  // directory is held by us.
  const int from = Open(place.directory, record.source + place.rest, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0,
                        RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
  if (from < 0) {
    // ENXIO: a socket. Devices are EACCES, as all that the child can write is mounted nodev. open(2).
    if (errno == ENXIO) return {.problem = CopyProblem::kNoFile};
    return {.problem = CopyProblem::kFailed, .error_number = errno};
  }
  CopyResult result{.problem = CopyProblem::kNone};
  struct stat about = {};
  bool to_failed = false;
  if (fstat(from, &about) != 0) {
    result = {.problem = CopyProblem::kFailed, .error_number = errno};
  } else if (!S_ISREG(about.st_mode) || IsOfTheKernel(from)) {
    result.problem = CopyProblem::kNoFile;
  } else if (about.st_nlink != 1) {
    result.problem = CopyProblem::kSeveralNames;
  } else if (static_cast<uint64_t>(about.st_size) > record.max_bytes) {
    // By its size, holes too: a sparse file of a terabyte is one.
    result = {.bytes = static_cast<uint64_t>(about.st_size), .problem = CopyProblem::kTooLarge};
  } else if (const int error = Copy(from, record.sink, record.max_bytes, &result.bytes, &to_failed); error != 0) {
    result = {.problem = to_failed ? CopyProblem::kSink : CopyProblem::kFailed, .error_number = error};
  } else if (result.bytes > record.max_bytes) {
    result.problem = CopyProblem::kTooLarge;  // Somebody outside made it larger meanwhile.
  }
  close(from);
  return result;
}

}  // namespace brood::child
