// What a preload must not leave behind in its process, since each child would have it. Limits are put back; what cannot be is an error.
#ifndef BROOD_FORKSERVER_PRELOAD_TRACES_H_
#define BROOD_FORKSERVER_PRELOAD_TRACES_H_

#include <sys/resource.h>

#include <array>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace brood::internal {

class PreloadTraces {
 public:
  // As it is before the preload.
  static absl::StatusOr<PreloadTraces> Take();

  // After it. Processes that it left running are killed, but for `watch`. Errors: FailedPrecondition, with the phase.
  absl::Status Remove(int watch) const;

  // Kills all below this process, which is a subreaper, but `watch`. Errors: FailedPrecondition, which names what was running.
  static absl::Status EndProcesses(int watch);

 private:
  std::array<rlimit, RLIM_NLIMITS> limits_ = {};
  std::string fingerprint_;
};

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_PRELOAD_TRACES_H_
