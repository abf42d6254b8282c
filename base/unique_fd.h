// A file descriptor that is owned: closed when its owner goes. On Windows the same holds a handle (windows_handle.h).
//
//   UniqueFd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
//   if (!fd.valid()) return ErrnoStatus(errno, "open", "/dev/null");
//
// `int fd` is borrowed, `UniqueFd` is mine. Not thread-safe; distinct objects may be used from distinct threads.
#ifndef BROOD_BASE_UNIQUE_FD_H_
#define BROOD_BASE_UNIQUE_FD_H_

#include <utility>

namespace brood {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }          // Borrowed; -1 when empty.
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);                 // Closes what is held. Keeps errno.

 private:
  int fd_ = -1;
};

// A duplicate above the standard streams, close-on-exec. Invalid, with errno, if it cannot be made. fcntl(2),
// F_DUPFD_CLOEXEC.
UniqueFd Duplicate(int fd);

// What this process starts from now on does not inherit `fd`. False if it is not open. fcntl(2), FD_CLOEXEC.
bool KeepFromChildren(int fd);

}  // namespace brood

#endif  // BROOD_BASE_UNIQUE_FD_H_
