#include <sys/stat.h>

#include <climits>
#include <cstdlib>

#include "base/untrusted_directories.h"

namespace brood {

bool UntrustedDirectories::Add(const std::string& directory) {
  char name[PATH_MAX];
  struct stat about = {};
  if (realpath(directory.c_str(), name) == nullptr || stat(name, &about) != 0 || !S_ISDIR(about.st_mode)) return false;
  identities_.emplace(about.st_dev, about.st_ino);
  return names_.insert(name).second;
}

bool UntrustedDirectories::Contain(std::string_view path) const {
  for (std::string_view above = path; !above.empty(); above = above.substr(0, above.rfind('/'))) {
    if (names_.find(above) != names_.end()) return true;
  }
  return besides_ != nullptr && besides_->Contain(path);
}

bool UntrustedDirectories::Include(uint64_t device, uint64_t inode) const {
  return identities_.count({device, inode}) != 0 || (besides_ != nullptr && besides_->Include(device, inode));
}

}  // namespace brood
