// What the seed runs, and what it is asked. Not for users.
#ifndef BROOD_LAUNCHER_EXECUTOR_SEED_MAIN_H_
#define BROOD_LAUNCHER_EXECUTOR_SEED_MAIN_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "base/unique_fd.h"
#include "ipc/connection.h"
#include "launcher/context.h"
#include "launcher/executor/births.h"
#include "launcher/launch_options.h"
#include "serialization/fields.h"

namespace brood::internal {

// What the seed needs and finds in its memory, which is a copy of its executor's.
struct SeedPlan {
  Context context;
  LaunchOptions launch;
  WorkerSetup setup;
};

struct SeedRequest {
  enum class Kind : uint32_t { kStart, kTerminate, kKill };
  Kind kind = Kind::kStart;
  uint64_t worker = 0;
  // kStart: the worker's socket and journal; memory for its outcome, and a pipe to which the seed writes at its end how
  // many bytes that took. Never more than these fit the pipe: the executor may be waiting for another birth meanwhile.
  std::vector<UniqueFd> handles;
};
BROOD_FIELDS(SeedRequest, kind, worker, handles);

// To kStart only.
struct SeedReply {
  absl::Status status;
  int64_t pid = 0;
};
BROOD_FIELDS(SeedReply, status, pid);

// A target. `plan` is the address of a SeedPlan. `borrowed` are the descriptors of its options, `handles` those of its
// set-up, in order: the numbers in its memory mean nothing here. Ends when `executor` is closed, and all workers with
// it.
void RunPoolSeed(Connection executor, uint64_t plan, std::vector<UniqueFd> borrowed, std::vector<UniqueFd> handles);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_SEED_MAIN_H_
