#include "forkserver/status_text.h"

#include <fcntl.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"

namespace brood::internal {

absl::StatusOr<std::string> ReadStatusText() {
  constexpr char kPath[] = "/proc/thread-self/status";
  char small[8192];
  long length = child::ReadFile(AT_FDCWD, kPath, small, sizeof(small));
  if (length >= 0 && length < static_cast<long>(sizeof(small)) - 1) return std::string(small, static_cast<size_t>(length));
  std::string text(size_t{1} << 20, '\0');  // 65,536 groups are the most that there can be: NGROUPS_MAX.
  if (length >= 0) length = child::ReadFile(AT_FDCWD, kPath, text.data(), text.size());
  if (length < 0) return ErrnoStatus(errno, "read", kPath, errno == ENOENT ? "the forkserver needs a mounted /proc" : "");
  text.resize(static_cast<size_t>(length));
  return text;
}

std::string_view StatusField(std::string_view text, std::string_view name) {
  const std::string key = absl::StrCat("\n", name, ":");
  const size_t at = text.find(key);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = text.substr(at + key.size());
  return absl::StripAsciiWhitespace(rest.substr(0, rest.find('\n')));
}

}  // namespace brood::internal
