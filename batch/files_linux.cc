#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "base/status.h"
#include "batch/files.h"

namespace brood {

bool MayStandInFileName(std::string_view id, size_t i) {
  const auto c = static_cast<unsigned char>(id[i]);
  return absl::ascii_isalnum(c) || c == '_' || c == '-' || (c == '.' && i > 0);
}

absl::StatusOr<UniqueFd> OpenOrMakeDirectory(const std::string& path) {
  for (size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1)) {
    const std::string parent = path.substr(0, end);
    if (mkdir(parent.c_str(), 0777) != 0 && errno != EEXIST) return ErrnoStatus(errno, "mkdir", parent);
  }
  if (mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) return ErrnoStatus(errno, "mkdir", path);
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "open", path);
  return fd;
}

absl::StatusOr<UniqueFd> OpenOrMakeSubdirectory(int parent, const std::string& name) {
  if (mkdirat(parent, name.c_str(), 0777) != 0 && errno != EEXIST) return ErrnoStatus(errno, "mkdir", name);
  UniqueFd fd(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "open", name);
  return fd;
}

absl::StatusOr<UniqueFd> OpenOutputFile(int directory, const std::string& name) {
  UniqueFd fd(openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666));
  if (!fd.valid()) return ErrnoStatus(errno, "open", name);
  return fd;
}

}  // namespace brood
