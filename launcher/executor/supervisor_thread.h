// The one thread of a pool: supervisor_thread_linux.cc, supervisor_thread_windows.cc. Not for users.
#ifndef BROOD_LAUNCHER_EXECUTOR_SUPERVISOR_THREAD_H_
#define BROOD_LAUNCHER_EXECUTOR_SUPERVISOR_THREAD_H_

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

#include "absl/status/status.h"

namespace brood::internal {

class SupervisorThread {
 public:
  // Once. The embedder's signals are for its own threads: all are blocked on this one.
  absl::Status Start(std::function<void()> body);

  // Waits until it has gone; on the thread itself at once. Several threads may.
  void AwaitEnd();

 private:
  std::mutex mutex_;
  std::thread thread_;
  std::atomic<int> number_ = 0;  // The kernel's, once it runs; on Linux.
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_SUPERVISOR_THREAD_H_
