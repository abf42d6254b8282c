// For the tests of this folder: a real peer in another process.
#ifndef BROOD_IPC_TESTING_H_
#define BROOD_IPC_TESTING_H_

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>

#include "ipc/descriptor_leaks.h"

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

}  // namespace brood

#endif  // BROOD_IPC_TESTING_H_
