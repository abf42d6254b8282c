#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

#include "base/slow_file.h"

namespace brood {
namespace {

constexpr std::string_view kOwn[] = {"btrfs",    "cgroup",    "cgroup2", "devpts", "devtmpfs", "erofs",  "ext2",    "ext3",  "ext4",  "f2fs",
                                     "hugetlbfs", "overlay", "proc",    "ramfs",  "squashfs", "sysfs", "tmpfs",  "xfs",   "zfs"};

// Linux 6.8, which Debian 12 has no headers of. statmount(2), statx(2)
constexpr long kStatmount = 457;
constexpr unsigned kUniqueMount = 0x4000;  // STATX_MNT_ID_UNIQUE
constexpr uint64_t kTypeOfMount = 0x20;    // STATMOUNT_FS_TYPE

struct MountRequest {
  uint32_t size = sizeof(MountRequest);
  uint32_t spare = 0;
  uint64_t mount = 0;
  uint64_t wanted = 0;
};
static_assert(sizeof(MountRequest) == 24, "MNT_ID_REQ_SIZE_VER0");

struct MountAnswer {
  uint32_t size = 0;
  uint32_t options = 0;
  uint64_t answered = 0;
  uint32_t device[2] = {};
  uint64_t magic = 0;
  uint32_t flags = 0;
  uint32_t type = 0;  // Where in `text`.
  uint64_t others[59] = {};
  char text[64] = {};
};
static_assert(offsetof(MountAnswer, text) == 512, "struct statmount");

// From what the kernel remembers: no file system is asked. Empty: this kernel, or a container's filter, has no such call, or the
// mount is of another namespace.
std::string TypeOfUniqueMount(uint64_t mount) {
  MountRequest request;
  request.mount = mount;
  request.wanted = kTypeOfMount;
  MountAnswer answer;
  if (syscall(kStatmount, &request, &answer, sizeof(answer), 0) != 0) return "";
  if ((answer.answered & kTypeOfMount) == 0 || answer.type >= sizeof(answer.text)) return "";
  return answer.text + answer.type;
}

// The same, twenty times slower. proc(5), /proc/pid/mountinfo: "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw".
// Empty: it is of another mount namespace.
std::string TypeOfListedMount(uint64_t mount) {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    if (line.compare(0, line.find(' '), std::to_string(mount)) != 0) continue;
    const size_t separator = line.find(" - ");
    if (separator == std::string::npos) return "";
    const size_t type = separator + 3;
    return line.substr(type, line.find(' ', type) - type);
  }
  return "";
}

// Empty: it cannot be known.
std::string TypeOfFileSystem(int fd) {
  struct statx about = {};
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, kUniqueMount, &about) == 0 && (about.stx_mask & kUniqueMount) != 0) {
    if (std::string type = TypeOfUniqueMount(about.stx_mnt_id); !type.empty()) return type;
  }
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &about) != 0 || (about.stx_mask & STATX_MNT_ID) == 0) return "";
  return TypeOfListedMount(about.stx_mnt_id);
}

}  // namespace

std::optional<mode_t> ModeAtOnce(int fd) {
  struct statx about = {};
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MODE, &about) != 0) return std::nullopt;
  return about.stx_mode;
}

bool IsSlowFile(int fd) {
  struct statx about = {};
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &about) != 0) return false;
  const mode_t type = about.stx_mode & S_IFMT;
  if (type != S_IFREG && type != S_IFDIR && type != S_IFLNK) return false;
  if (about.stx_dev_major != 0) return false;                        // On a disk.
  if (type == S_IFREG && fcntl(fd, F_GET_SEALS) >= 0) return false;  // Memory, memfd_create(2).
  return std::find(std::begin(kOwn), std::end(kOwn), TypeOfFileSystem(fd)) == std::end(kOwn);
}

}  // namespace brood
