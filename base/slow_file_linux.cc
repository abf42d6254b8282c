#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <string_view>

#include "base/slow_file.h"

namespace brood {
namespace {

constexpr std::string_view kOwn[] = {"btrfs",    "cgroup",    "cgroup2", "devpts", "devtmpfs", "erofs",  "ext2",    "ext3",  "ext4",  "f2fs",
                                     "hugetlbfs", "overlay", "proc",    "ramfs",  "squashfs", "sysfs", "tmpfs",  "xfs",   "zfs"};

// proc(5), /proc/pid/mountinfo: "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw". Empty: it is of another mount namespace.
std::string TypeOfMount(uint64_t mount) {
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

}  // namespace

std::optional<mode_t> ModeAtOnce(int fd) {
  struct statx about = {};
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MODE, &about) != 0) return std::nullopt;
  return about.stx_mode;
}

bool IsSlowFile(int fd) {
  struct statx about = {};
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MNT_ID, &about) != 0) return false;
  const mode_t type = about.stx_mode & S_IFMT;
  if (type != S_IFREG && type != S_IFDIR && type != S_IFLNK) return false;
  if (about.stx_dev_major != 0) return false;                        // On a disk.
  if (type == S_IFREG && fcntl(fd, F_GET_SEALS) >= 0) return false;  // Memory, memfd_create(2).
  if ((about.stx_mask & STATX_MNT_ID) == 0) return true;
  return std::find(std::begin(kOwn), std::end(kOwn), TypeOfMount(about.stx_mnt_id)) == std::end(kOwn);
}

}  // namespace brood
