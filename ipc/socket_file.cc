#include "ipc/socket_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/fork_generation.h"
#include "base/status.h"

namespace brood::internal {
namespace {

constexpr mode_t kMode = 0600;

// Between bind and listen a socket looks as if nobody listened to it. Listeners of brood hold this lock on their folder
// meanwhile, and one who finds a dead file removes it only under the lock. It is held for some system calls; an
// unrelated process may hold it for ever, so that we do without after a tenth of a second, and then remove nothing.
UniqueFd LockFolder(int folder) {
  UniqueFd lock(openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int tries = 0; lock.valid() && tries < 100; ++tries) {
    if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
    if (errno != EWOULDBLOCK && errno != EINTR) break;
    const timespec pause = {.tv_sec = 0, .tv_nsec = 1'000'000};
    nanosleep(&pause, nullptr);
  }
  return UniqueFd();
}

absl::Status InUse(const Address& address, std::string_view why) {
  return absl::AlreadyExistsError(absl::StrCat("listen ", address.ToString(), ": the address is in use: ", why));
}

// Removes the file at the address if it is a socket of ours to which nobody listens.
absl::Status RemoveStale(int folder, const std::string& name, const Address& address, const SocketAddress& to) {
  struct stat about = {};
  if (fstatat(folder, name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, "stat", address.ToString());
  }
  if (!S_ISSOCK(about.st_mode)) return InUse(address, "by something that is no socket");
  if (about.st_uid != geteuid()) return InUse(address, absl::StrCat("by user ", about.st_uid));
  // Without waiting: a listener whose queue is full is alive.
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return ErrnoStatus(errno, "socket");
  if (connect(probe.get(), to.get(), to.size) == 0 || errno != ECONNREFUSED) {
    return InUse(address, "somebody listens there");
  }
  if (unlinkat(folder, name.c_str(), 0) != 0 && errno != ENOENT)
    return ErrnoStatus(errno, "remove", address.ToString());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SocketFile> SocketFile::Listen(int socket, const Address& address, const SocketAddress& to, int backlog,
                                              StaleSocketFile stale) {
  const size_t slash = address.name.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : address.name.substr(0, slash + 1);
  SocketFile file;
  file.name_ = slash == std::string::npos ? address.name : address.name.substr(slash + 1);
  UniqueFd folder(open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return ErrnoStatus(errno, "open the folder of", address.ToString());

  // The file gets the socket's own mode, cut by the umask: unix_bind_bsd. So nobody can connect in between, and the
  // umask, which all threads share, is left alone.
  if (fchmod(socket, kMode) != 0) return ErrnoStatus(errno, "set the mode of", address.ToString());
  const UniqueFd lock = LockFolder(folder.get());
  int error = bind(socket, to.get(), to.size) == 0 ? 0 : errno;
  if (error == EADDRINUSE && stale == StaleSocketFile::kReplace) {
    if (!lock.valid()) return InUse(address, "and its folder cannot be locked to see by whom");
    BROOD_RETURN_IF_ERROR(RemoveStale(folder.get(), file.name_, address, to));
    error = bind(socket, to.get(), to.size) == 0 ? 0 : errno;
  }
  if (error == EADDRINUSE) return InUse(address, "the file is there");
  if (error != 0) return ErrnoStatus(error, "listen", address.ToString());

  struct stat about = {};
  if (fstatat(folder.get(), file.name_.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, "stat", address.ToString());
  }
  file.folder_ = std::move(folder);
  file.device_ = about.st_dev;
  file.inode_ = about.st_ino;
  file.maker_ = ForkGeneration();
  // A umask that takes bits of the owner, 0777 for example.
  if ((about.st_mode & 0777) != kMode && fchmodat(file.folder_.get(), file.name_.c_str(), kMode, 0) != 0) {
    return ErrnoStatus(errno, "set the mode of", address.ToString());
  }
  if (listen(socket, backlog) != 0) return ErrnoStatus(errno, "listen", address.ToString());
  return file;
}

SocketFile::~SocketFile() {
  if (!folder_.valid() || maker_ != ForkGeneration()) return;
  struct stat about = {};
  // The number is not used again while the socket is open, since the socket holds its file.
  if (fstatat(folder_.get(), name_.c_str(), &about, AT_SYMLINK_NOFOLLOW) == 0 && about.st_dev == device_ &&
      about.st_ino == inode_) {
    unlinkat(folder_.get(), name_.c_str(), 0);
  }
}

}  // namespace brood::internal
