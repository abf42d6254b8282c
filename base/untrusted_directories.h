// Directories of this machine in which somebody who is not trusted, such as a child, may have left links.
#ifndef BROOD_BASE_UNTRUSTED_DIRECTORIES_H_
#define BROOD_BASE_UNTRUSTED_DIRECTORIES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace brood {

// A batch has as many as it has jobs with a directory of their own, and each launch asks: no question looks at all of them.
// Thread-compatible.
class UntrustedDirectories {
 public:
  UntrustedDirectories() = default;
  // With those of another as well, which are not copied; null: none.
  explicit UntrustedDirectories(std::shared_ptr<const UntrustedDirectories> besides) : besides_(std::move(besides)) {}

  // As it is now: links on the way to it are followed, and it is known again by what it is and by its name. False if it is among these
  // already, is not there, or is no directory. Linux; on Windows nothing is added.
  bool Add(const std::string& directory);

  bool empty() const { return names_.empty() && (besides_ == nullptr || besides_->empty()); }

  // Whether a path without links is that of one, or leads into it.
  bool Contain(std::string_view path) const;

  // Whether a file is one of them, wherever it was found, as of a mount: st_dev and st_ino of stat(2).
  bool Include(uint64_t device, uint64_t inode) const;

 private:
  std::set<std::string, std::less<>> names_;
  std::set<std::pair<uint64_t, uint64_t>> identities_;
  std::shared_ptr<const UntrustedDirectories> besides_;
};

}  // namespace brood

#endif  // BROOD_BASE_UNTRUSTED_DIRECTORIES_H_
