#include "sandbox/plan_devices.h"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood {
namespace {

namespace fs = std::filesystem;

constexpr int kMostEntries = 4096;

bool IsDevice(mode_t mode) { return S_ISCHR(mode) || S_ISBLK(mode); }

absl::Status NoDevice(std::string_view path, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("files: device \"", path, "\": ", why));
}

// Who asks for a directory of devices means that, and not files without nodev.
absl::Status HoldsOnlyDevices(const std::string& directory) {
  std::error_code error;
  int entries = 0;
  fs::recursive_directory_iterator entry(directory, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (++entries > kMostEntries) return NoDevice(directory, absl::StrCat("more than ", kMostEntries, " entries; name the devices one by one"));
    struct stat about = {};
    if (lstat(entry->path().c_str(), &about) != 0) continue;  // It has just gone.
    if (IsDevice(about.st_mode) || S_ISLNK(about.st_mode) || S_ISDIR(about.st_mode)) continue;
    return NoDevice(directory, absl::StrCat("not all in it are devices: ", entry->path().string(), "; name them one by one"));
  }
  if (error) return ErrnoStatus(error.value(), "files: list the devices in", directory);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DeviceSource> LookAtDevice(const std::string& path) {
  struct stat about = {};
  if (lstat(path.c_str(), &about) != 0) return ErrnoStatus(errno, "files: device", path);
  if (IsDevice(about.st_mode)) {
    constexpr mode_t kEverybody = S_IROTH | S_IWOTH;
    return DeviceSource{.directory = false, .is_private = (about.st_mode & kEverybody) != kEverybody};
  }
  if (!S_ISDIR(about.st_mode)) return NoDevice(path, "it is none; show files by --ro or --rw");
  if (path == "/dev" || path == "/") return NoDevice(path, "that would be all devices of the machine; name them one by one, or a directory like /dev/dri");
  BROOD_RETURN_IF_ERROR(HoldsOnlyDevices(path));
  return DeviceSource{.directory = true};
}

}  // namespace brood
