// A process that forks when it is told to, with something in its memory. All of them have the same processor, so that what is
// measured is not how long another one takes to wake up, nor what that has to do besides.
#ifndef BROOD_BENCHMARKS_FORK_HELPER_H_
#define BROOD_BENCHMARKS_FORK_HELPER_H_

#include <sys/types.h>

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood {

class ForkHelper {
 public:
  // Forks the helper, while this process has one thread, and waits until `load` has returned in it. Errors: that of `load`.
  // `work`: what each process that it forks does.
  static absl::StatusOr<std::shared_ptr<ForkHelper>> Start(const std::function<absl::Status()>& load, void (*work)() = nullptr);
  ForkHelper() = default;
  ForkHelper(const ForkHelper&) = delete;
  ForkHelper& operator=(const ForkHelper&) = delete;
  ~ForkHelper();

  // Has it fork a process that does its work, or nothing, and wait for it: microseconds, by its own clock. Of the second of two in a row: the
  // first finds the caches as somebody else has left them, who may have copied the page tables of a GiB.
  absl::StatusOr<double> Fork();

 private:
  UniqueFd socket_;
  pid_t pid_ = -1;
};

}  // namespace brood

#endif  // BROOD_BENCHMARKS_FORK_HELPER_H_
