#include "batch/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "batch/stable_hash.h"

namespace brood {

absl::StatusOr<std::string> ReadAll(int fd, std::string_view name, size_t max_bytes) {
  std::string content;
  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "read", name);
    if (count == 0) return content;
    if (content.size() + static_cast<size_t>(count) > max_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat("read ", name, ": larger than ", max_bytes, " bytes"));
    }
    content.append(buffer.data(), static_cast<size_t>(count));
  }
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  if (path == "-") return ReadAll(STDIN_FILENO, "standard input", max_bytes);
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "open", path);
  return ReadAll(fd.get(), path, max_bytes);
}

std::string FileNameOf(std::string_view id) {
  constexpr size_t kMaxName = 255;  // NAME_MAX.
  constexpr size_t kKept = 200;
  std::string name;
  for (size_t i = 0; i < id.size(); ++i) {
    const auto c = static_cast<unsigned char>(id[i]);
    if (absl::ascii_isalnum(c) || c == '_' || c == '-' || (c == '.' && i > 0)) {
      name += id[i];
    } else {
      absl::StrAppend(&name, "%", absl::Hex(c, absl::kZeroPad2));
    }
  }
  if (name.size() <= kMaxName) return name;
  return absl::StrCat(name.substr(0, kKept), "%", absl::Hex(StableHash(id), absl::kZeroPad16));
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

}  // namespace brood
