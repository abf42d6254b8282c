#include "base/given_file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace brood {
namespace {

constexpr unsigned kMode = 0666;

bool IsIn(int directory, const std::vector<std::string>& places) {
  char name[PATH_MAX];
  const ssize_t length = readlink(absl::StrCat("/proc/self/fd/", directory).c_str(), name, sizeof(name));
  if (length <= 0) return false;
  const std::string_view place(name, static_cast<size_t>(length));
  return std::any_of(places.begin(), places.end(), [place](const std::string& one) {
    return place == one || absl::StartsWith(place, absl::StrCat(one, "/"));
  });
}

}  // namespace

UniqueFd OpenGivenFile(const std::vector<std::string>& writable, const std::string& path, int flags) {
  flags |= O_CLOEXEC;
  for (size_t slash = 0; !writable.empty() && slash != std::string::npos;) {
    // What is above the next component: "." or "/" at first.
    const std::string above = slash > 0 ? path.substr(0, slash) : path[0] == '/' ? "/" : ".";
    const UniqueFd directory(open(above.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid()) break;  // As opening all of it will tell.
    const std::string rest = path.substr(std::min(path.find_first_not_of('/', slash), path.size()));
    if (IsIn(directory.get(), writable)) {
      open_how how = {};
      how.flags = static_cast<uint64_t>(flags);
      how.mode = (flags & O_CREAT) != 0 ? kMode : 0;
      how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
      return UniqueFd(static_cast<int>(syscall(SYS_openat2, directory.get(), rest.empty() ? "." : rest.c_str(), &how, sizeof(how))));
    }
    if (rest.empty()) break;
    slash = path.find('/', path.size() - rest.size());
  }
  return UniqueFd(open(path.c_str(), flags, kMode));
}

}  // namespace brood
