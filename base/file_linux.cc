#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/given_file.h"
#include "base/status.h"

namespace brood {
namespace {

absl::StatusOr<UniqueFd> Open(const std::string& path, int flags, const UntrustedDirectories& untrusted = {}) {
  UniqueFd fd = OpenGivenFile(untrusted, path, flags);
  if (!fd.valid()) return ErrnoStatus(errno, errno == ELOOP && !untrusted.empty() ? "open, following no link where a child may write," : "open", path);
  return fd;
}

FileFacts FactsFrom(const struct stat& status) {
  return {.regular = S_ISREG(status.st_mode),
          .bytes = static_cast<uint64_t>(status.st_size),
          .identity = {status.st_dev, status.st_ino}};
}

// An open file description's lock, not flock(2): whether it is held can be asked without taking it, and it works over
// NFS. fcntl(2), "Open file description locks".
struct flock WholeFile() {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

// What is not to be read is looked at and not opened, which others may notice: a FIFO's opening waits for somebody who opens it for
// writing, and lets him go on; a device may have no end, or wait for a line of its own. fifo(7). A pipe without a name, as a shell's
// <(...) gives it, has somebody who writes, or an end.
absl::StatusOr<UniqueFd> OpenToRead(const std::string& path) {
  struct stat about = {};
  struct statfs system = {};
  if (stat(path.c_str(), &about) != 0 || statfs(path.c_str(), &system) != 0) return ErrnoStatus(errno, "open", path);
  const bool is_pipe = S_ISFIFO(about.st_mode) && system.f_type == PIPEFS_MAGIC;
  const bool is_null = S_ISCHR(about.st_mode) && about.st_rdev == makedev(1, 3);
  if (!S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode) && !is_pipe && !is_null) {
    const char* const kind = S_ISFIFO(about.st_mode) ? "a FIFO" : S_ISSOCK(about.st_mode) ? "a socket" : "a device";
    return absl::FailedPreconditionError(absl::StrCat("open ", path, ": is ", kind, "; expected a regular file, or a pipe as of <(...)"));
  }
  // Files of the kernel's may wait, too (/proc/kmsg), and the file may be another by now.
  BROOD_ASSIGN_OR_RETURN(UniqueFd file, Open(path, O_RDONLY | O_NOCTTY | (is_pipe ? 0 : O_NONBLOCK)));
  return file;
}

absl::StatusOr<UniqueFd> OpenToReplace(const std::string& path, const UntrustedDirectories& untrusted) {
  return Open(path, O_WRONLY | O_CREAT | O_TRUNC, untrusted);
}

// For both, a FIFO would keep what nobody reads until it is closed, and then lose it; and who writes more than it holds would wait
// for ever. fifo(7)
absl::StatusOr<UniqueFd> OpenToAppend(const std::string& path, const UntrustedDirectories& untrusted) {
  struct stat about = {};
  struct statfs system = {};
  const bool is_fifo = stat(path.c_str(), &about) == 0 && S_ISFIFO(about.st_mode) && statfs(path.c_str(), &system) == 0 && system.f_type != PIPEFS_MAGIC;
  if (!is_fifo) return Open(path, O_RDWR | O_APPEND | O_CREAT | O_NOCTTY, untrusted);
  UniqueFd fd = OpenGivenFile(untrusted, path, O_WRONLY | O_NONBLOCK);
  if (!fd.valid() && errno == ENXIO) {
    return absl::FailedPreconditionError(absl::StrCat("open ", path, ": is a FIFO; expected a regular file, or one that somebody reads already"));
  }
  if (!fd.valid() || fcntl(fd.get(), F_SETFL, 0) != 0) return ErrnoStatus(errno, "open", path);
  return fd;
}

int StandardInput() { return STDIN_FILENO; }
int StandardOutput() { return STDOUT_FILENO; }

absl::StatusOr<FileFacts> FactsOf(int file, std::string_view name) {
  struct stat status = {};
  if (fstat(file, &status) != 0) return ErrnoStatus(errno, "stat", name);
  return FactsFrom(status);
}

absl::StatusOr<FileFacts> FactsAt(const std::string& path) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) return ErrnoStatus(errno, "stat", path);
  return FactsFrom(status);
}

absl::StatusOr<size_t> ReadSome(int file, char* to, size_t size, std::string_view name) {
  while (true) {
    const ssize_t count = read(file, to, size);
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) return ErrnoStatus(errno, "read", name);
  }
}

absl::StatusOr<size_t> ReadAt(int file, uint64_t offset, char* to, size_t size, std::string_view name) {
  const ssize_t count = pread(file, to, size, static_cast<off_t>(offset));
  if (count < 0) return ErrnoStatus(errno, "read", name);
  return static_cast<size_t>(count);
}

absl::StatusOr<size_t> WriteSome(int file, std::string_view text, std::string_view name) {
  while (true) {
    const ssize_t count = write(file, text.data(), text.size());
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) return ErrnoStatus(errno, "write", name);
  }
}

absl::Status Truncate(int file, uint64_t bytes, std::string_view name) {
  return ftruncate(file, static_cast<off_t>(bytes)) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "truncate", name);
}

absl::Status ToBeginning(int file, std::string_view name) {
  return lseek(file, 0, SEEK_SET) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "seek", name);
}

absl::Status Sync(int file, std::string_view name) {
  return fdatasync(file) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "sync", name);
}

absl::Status SyncDirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // A directory that may be written to and not read cannot be synced; nor can some file systems.
  if (!fd.valid() && errno == EACCES) return absl::OkStatus();
  if (!fd.valid()) return ErrnoStatus(errno, "open", directory);
  if (fsync(fd.get()) != 0 && errno != EINVAL) return ErrnoStatus(errno, "sync", directory);
  return absl::OkStatus();
}

absl::StatusOr<bool> TryLock(int file, std::string_view name) {
  struct flock lock = WholeFile();
  if (fcntl(file, F_OFD_SETLK, &lock) == 0) return true;
  if (errno != EAGAIN && errno != EACCES) return ErrnoStatus(errno, "lock", name);
  return false;
}

absl::StatusOr<bool> IsLocked(int file, std::string_view name) {
  struct flock lock = WholeFile();
  if (fcntl(file, F_OFD_GETLK, &lock) != 0) return ErrnoStatus(errno, "ask for the lock of", name);
  return lock.l_type != F_UNLCK;
}

}  // namespace brood
