#include "batch/files.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"
#include "batch/stable_hash.h"

namespace brood {

absl::StatusOr<std::string> ReadAll(int fd, std::string_view name, size_t max_bytes) {
  std::string content;
  std::array<char, 65536> buffer;
  while (true) {
    BROOD_ASSIGN_OR_RETURN(const size_t count, ReadSome(fd, buffer.data(), buffer.size(), name));
    if (count == 0) return content;
    if (content.size() + count > max_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat("read ", name, ": larger than ", max_bytes, " bytes"));
    }
    content.append(buffer.data(), count);
  }
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  if (path == "-") return ReadAll(StandardInput(), "standard input", max_bytes);
  BROOD_ASSIGN_OR_RETURN(const UniqueFd fd, OpenToRead(path));
  return ReadAll(fd.get(), path, max_bytes);
}

std::string FileNameOf(std::string_view id) {
  constexpr size_t kMaxName = 255;  // NAME_MAX.
  constexpr size_t kKept = 200;
  std::string name;
  for (size_t i = 0; i < id.size(); ++i) {
    if (MayStandInFileName(id, i)) {
      name += id[i];
    } else {
      absl::StrAppend(&name, "%", absl::Hex(static_cast<unsigned char>(id[i]), absl::kZeroPad2));
    }
  }
  if (name.size() <= kMaxName) return name;
  return absl::StrCat(name.substr(0, kKept), "%", absl::Hex(StableHash(id), absl::kZeroPad16));
}

}  // namespace brood
