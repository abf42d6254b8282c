#include "ipc/region_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/status.h"

namespace brood::internal {
namespace {

constexpr uint64_t kMagic = 0x6e6f69'67655262;  // "bRegion" read as a little-endian number.
constexpr uint32_t kVersion = 1;
// SEAL too, or a peer could forbid writing later. memfd_create(2), "File sealing".
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

absl::StatusOr<UniqueFd> MemoryFile() {
  // Newer than the headers of Debian 12: no exec permission, and machines may insist on that. Linux 6.3.
  constexpr unsigned kNoExecSeal = 0x0008;
  UniqueFd fd(memfd_create("brood", MFD_CLOEXEC | MFD_ALLOW_SEALING | kNoExecSeal));
  if (!fd.valid() && errno == EINVAL) fd.reset(memfd_create("brood", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return ErrnoStatus(errno, "memfd_create", "shared region");
  return fd;
}

// Growing a file beyond the limit raises SIGXFSZ, which would end a program that only asked for memory. setrlimit(2).
absl::Status CheckFileSize(uint64_t size) {
  rlimit limit = {};
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && size > limit.rlim_cur) {
    return absl::ResourceExhaustedError(absl::StrCat("create a shared region of ", size,
                                                     " bytes: the limit of a file's size is ", limit.rlim_cur,
                                                     "; raise --file-size or RLIMIT_FSIZE"));
  }
  return absl::OkStatus();
}

absl::Status Bad(std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("attach to shared memory: ", why));
}

struct flock IdRange(uint64_t id) {
  struct flock range = {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(kFirstIdByte + id);
  range.l_len = 1;
  return range;
}

}  // namespace

absl::StatusOr<UniqueFd> CreateRegionFile(RegionHeader& header) {
  BROOD_RETURN_IF_ERROR(CheckFileSize(header.size));
  BROOD_ASSIGN_OR_RETURN(UniqueFd fd, MemoryFile());
  if (header.size > INT64_MAX || ftruncate(fd.get(), static_cast<off_t>(header.size)) != 0) {
    return ErrnoStatus(header.size > INT64_MAX ? ENOMEM : errno, "ftruncate",
                       absl::StrCat("shared region of ", header.size, " bytes"));
  }
  header.magic = kMagic;
  header.version = kVersion;
  BROOD_RETURN_IF_ERROR(FillRandom(header.random.data(), sizeof(header.random)));
  if (pwrite(fd.get(), &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header))) {
    return ErrnoStatus(errno, "pwrite", "shared region");
  }
  if (fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return ErrnoStatus(errno, "fcntl", "F_ADD_SEALS");
  return fd;
}

absl::Status ReadRegionHeader(int fd, RegionHeader& header) {
  struct stat file = {};
  if (fstat(fd, &file) != 0) return ErrnoStatus(errno, "fstat", "attach to shared memory");
  struct statfs system = {};
  if (fstatfs(fd, &system) != 0) return ErrnoStatus(errno, "fstatfs", "attach to shared memory");
  if (!S_ISREG(file.st_mode) || system.f_type != TMPFS_MAGIC) return Bad("the descriptor is not of a memory file");
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) return Bad("the file is not sealed, so that it could shrink under us");
  if (seals & ~(kSeals | F_SEAL_FUTURE_WRITE | 0x20 /* F_SEAL_EXEC */))
    return Bad("the file is sealed against writing");
  if (pread(fd, &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header)))
    return Bad("the file is too short");
  if (header.magic != kMagic) return Bad("the file is no shared object of brood");
  if (header.version != kVersion) {
    return Bad(absl::StrCat("the object has version ", header.version, ", this program knows ", kVersion));
  }
  const bool whole = header.size == static_cast<uint64_t>(file.st_size) &&
                     header.payload_offset >= Region::kHeaderBytes && header.payload_offset % 64 == 0 &&
                     header.payload_offset <= header.size;
  return whole ? absl::OkStatus() : Bad("its size is not what it says");
}

bool IdentifyFile(int fd, RegionKey& key) {
  struct stat file = {};
  if (fstat(fd, &file) != 0) return false;
  key.device = file.st_dev;
  key.inode = file.st_ino;
  return true;
}

absl::StatusOr<UniqueFd> Reopen(int fd, Access access) {
  const std::string path = absl::StrCat("/proc/self/fd/", fd);
  UniqueFd reopened(open(path.c_str(), (access == Access::kReadOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC));
  if (!reopened.valid()) {
    return ErrnoStatus(errno, "open", path, errno == ENOENT ? "shared objects need /proc" : "");
  }
  RegionKey old;
  RegionKey fresh;
  // A directory that somebody mounted over /proc could hold anything.
  if (!IdentifyFile(fd, old) || !IdentifyFile(reopened.get(), fresh) || old != fresh) {
    return absl::FailedPreconditionError(absl::StrCat("open ", path, ": another file; /proc is not the kernel's"));
  }
  return reopened;
}

absl::StatusOr<bool> LockId(int fd, uint64_t id) {
  struct flock range = IdRange(id);
  if (fcntl(fd, F_OFD_SETLK, &range) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  return ErrnoStatus(errno, "fcntl", "F_OFD_SETLK");
}

absl::StatusOr<bool> IdIsLocked(int fd, uint64_t id) {
  struct flock range = IdRange(id);
  if (fcntl(fd, F_OFD_GETLK, &range) != 0) return ErrnoStatus(errno, "fcntl", "F_OFD_GETLK");
  return range.l_type != F_UNLCK;
}

}  // namespace brood::internal
