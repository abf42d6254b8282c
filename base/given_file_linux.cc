#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/given_file.h"

namespace brood {
namespace {

constexpr unsigned kMode = 0666;
constexpr int kMostLinks = 40;  // As many as the kernel follows. path_resolution(7)

class Walk {
 public:
  explicit Walk(const UntrustedDirectories& writable) : writable_(writable) {}

  UniqueFd Open(std::string path, int flags) {
    if (path.empty()) return Failed(ENOENT);
    if (!Begin(path)) return UniqueFd();
    for (int links = 0;;) {
      const size_t from = path.find_first_not_of('/');
      if (from == std::string::npos) return OpenLast(".", flags);
      const size_t slash = path.find('/', from);
      const std::string name = path.substr(from, slash == std::string::npos ? slash : slash - from);
      std::string rest = slash == std::string::npos ? "" : path.substr(slash);
      const bool last = rest.find_first_not_of('/') == std::string::npos;
      UniqueFd next(openat(directory_.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
      struct stat about = {};
      if (!next.valid() && !(last && errno == ENOENT)) return UniqueFd();
      if (next.valid() && fstat(next.get(), &about) != 0) return UniqueFd();
      if (!S_ISLNK(about.st_mode)) {
        // What has been put there since is no link either.
        if (last) return OpenLast(absl::StrCat(name, rest), flags);
        if (!Enter(std::move(next), name == "..")) return UniqueFd();
        path = std::move(rest);
        continue;
      }
      if (IsInWritable() || ++links > kMostLinks) return Failed(ELOOP);
      if (IsOfProc()) {
        // Its links are to files, not to names. proc(5)
        if (last) return UniqueFd(openat(directory_.get(), absl::StrCat(name, rest).c_str(), flags | O_CLOEXEC, kMode));
        if (!Enter(UniqueFd(openat(directory_.get(), name.c_str(), O_PATH | O_CLOEXEC)), true)) return UniqueFd();
        path = std::move(rest);
        continue;
      }
      char text[PATH_MAX];
      const ssize_t length = readlinkat(next.get(), "", text, sizeof(text));
      if (length <= 0) return length < 0 ? UniqueFd() : Failed(ENOENT);
      path = absl::StrCat(std::string_view(text, static_cast<size_t>(length)), rest);
      if (path[0] == '/' && !Begin(path)) return UniqueFd();
    }
  }

 private:
  static UniqueFd Failed(int error) {
    errno = error;
    return UniqueFd();
  }

  bool Begin(const std::string& path) { return Enter(UniqueFd(open(path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC)), true); }

  // With `elsewhere` what was passed on the way says nothing of where we are.
  bool Enter(UniqueFd directory, bool elsewhere) {
    if (!directory.valid()) return false;
    directory_ = std::move(directory);
    struct stat about = {};
    if (fstat(directory_.get(), &about) != 0) return false;
    passed_ = (passed_ && !elsewhere) || writable_.Include(about.st_dev, about.st_ino);
    return true;
  }

  // By having come through one, whatever its name is here, as of a mount of it; or by name.
  bool IsInWritable() const {
    if (passed_) return true;
    char name[PATH_MAX];
    const ssize_t length = readlink(absl::StrCat("/proc/self/fd/", directory_.get()).c_str(), name, sizeof(name));
    if (length <= 0) return false;
    return writable_.Contain(std::string_view(name, static_cast<size_t>(length)));
  }

  bool IsOfProc() const {
    struct statfs about = {};
    return fstatfs(directory_.get(), &about) == 0 && about.f_type == PROC_SUPER_MAGIC;
  }

  UniqueFd OpenLast(const std::string& name, int flags) const {
    // Here whoever may put a link is trusted, and openat2(2) may be missing.
    if (!IsInWritable()) return UniqueFd(openat(directory_.get(), name.c_str(), flags | O_CLOEXEC, kMode));
    open_how how = {};
    how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
    how.mode = (flags & O_CREAT) != 0 ? kMode : 0;
    how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    return UniqueFd(static_cast<int>(syscall(SYS_openat2, directory_.get(), name.c_str(), &how, sizeof(how))));
  }

  const UntrustedDirectories& writable_;
  UniqueFd directory_;
  bool passed_ = false;
};

}  // namespace

UniqueFd OpenGivenFile(const UntrustedDirectories& writable, const std::string& path, int flags) {
  if (writable.empty()) return UniqueFd(open(path.c_str(), flags | O_CLOEXEC, kMode));
  return Walk(writable).Open(path, flags);
}

}  // namespace brood
