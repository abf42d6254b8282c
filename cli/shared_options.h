// The options that `run` and `batch` share, as what a job does not say itself.
#ifndef BROOD_CLI_SHARED_OPTIONS_H_
#define BROOD_CLI_SHARED_OPTIONS_H_

#include "absl/status/statusor.h"
#include "batch/process_runner.h"
#include "cli/options.h"

namespace brood {

// Errors: InvalidArgument `--memory: ...`; those of reading an environment file.
absl::StatusOr<JobDefaults> ReadSharedOptions(const ParsedOptions& options);

}  // namespace brood

#endif  // BROOD_CLI_SHARED_OPTIONS_H_
