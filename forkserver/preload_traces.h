// What a preload must not leave behind in its process, since each child would have it. What can be is put back: limits, umask,
// scheduling and the like; what cannot is an error.
#ifndef BROOD_FORKSERVER_PRELOAD_TRACES_H_
#define BROOD_FORKSERVER_PRELOAD_TRACES_H_

#include <sys/resource.h>

#include <array>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "forkserver/birth.h"

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
  // What a process gives its children besides a Birth, as a number each. prctl(2)
  static constexpr size_t kSettings = 3;

  absl::Status PutBack() const;

  Birth birth_;
  std::array<int, kSettings> settings_ = {};
  std::string core_filter_;  // core(5), "Controlling which mappings are written to the core dump".
  std::string fingerprint_;
};

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_PRELOAD_TRACES_H_
