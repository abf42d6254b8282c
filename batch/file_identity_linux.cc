#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "batch/file_identity.h"

namespace brood {
namespace {

constexpr int kMostLinks = 40;  // As many as the kernel follows. path_resolution(7)

std::string NumbersOf(const struct stat& status) { return absl::StrCat(status.st_dev, ":", status.st_ino); }

// With the slash behind it.
std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "./" : path.substr(0, slash + 1);
}

// The name that is made, or written to: a link may lead to what is not there yet.
std::string Followed(std::string path) {
  for (int links = 0; links < kMostLinks; ++links) {
    char text[PATH_MAX];
    const ssize_t length = readlink(path.c_str(), text, sizeof(text));
    if (length <= 0) return path;
    const std::string_view to(text, static_cast<size_t>(length));
    path = to[0] == '/' ? std::string(to) : absl::StrCat(DirectoryOf(path), to);
  }
  return path;
}

}  // namespace

std::vector<std::string> IdentitiesOf(const std::string& path, LastLink link) {
  struct stat about = {};
  const bool follows = link == LastLink::kFollow;
  const bool is_there = (follows ? stat : lstat)(path.c_str(), &about) == 0;
  if (is_there && !S_ISREG(about.st_mode) && !S_ISLNK(about.st_mode)) return {};
  std::vector<std::string> all;
  if (is_there && follows) all.push_back(NumbersOf(about));
  const std::string name = follows ? Followed(path) : path;
  // What is missing of its directories somebody may make.
  std::string directory = DirectoryOf(name);
  std::string rest = name.substr(name.rfind('/') + 1);
  while (stat(directory.c_str(), &about) != 0 && directory != "./" && directory != "/") {
    directory.pop_back();
    rest = absl::StrCat(directory.substr(directory.rfind('/') + 1), "/", rest);
    directory = DirectoryOf(directory);
  }
  all.push_back(absl::StrCat(NumbersOf(about), "/", std::filesystem::path(rest).lexically_normal().native()));
  return all;
}

std::vector<std::string> IdentitiesOfDescriptor(int fd) {
  struct stat about = {};
  if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) return {};
  return {NumbersOf(about)};
}

}  // namespace brood
