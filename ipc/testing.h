// For the tests of this folder: a real peer in another process, and what descriptors are open here.
#ifndef BROOD_IPC_TESTING_H_
#define BROOD_IPC_TESTING_H_

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "gtest/gtest.h"

namespace brood {

// A forked process that runs `body` and exits with 0 if it returns true. Killed and reaped in the end.
class PeerProcess {
 public:
  explicit PeerProcess(const std::function<bool()>& body) : pid_(fork()) {
    if (pid_ == 0) _exit(body() ? 0 : 1);
  }
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;
  ~PeerProcess() {
    if (!status_.has_value()) Kill();
  }

  pid_t pid() const { return pid_; }
  void Kill() {
    kill(pid_, SIGKILL);
    (void)Join();
  }
  // The wait status: 0 if `body` returned true.
  int Join() {
    if (!status_.has_value()) {
      int status = -1;
      while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
      }
      status_ = status;
    }
    return *status_;
  }

 private:
  pid_t pid_;
  std::optional<int> status_;
};

inline std::set<int> OpenDescriptors() {
  std::set<int> open;
  DIR* directory = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.') open.insert(std::stoi(entry->d_name));
  }
  open.erase(dirfd(directory));
  closedir(directory);
  return open;
}

// Fails the test if more or other descriptors are open at the end of its scope than at the beginning.
class NoDescriptorLeaks {
 public:
  ~NoDescriptorLeaks() { EXPECT_EQ(OpenDescriptors(), before_); }

 private:
  std::set<int> before_ = OpenDescriptors();
};

}  // namespace brood

#endif  // BROOD_IPC_TESTING_H_
