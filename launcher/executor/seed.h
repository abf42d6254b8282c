// Workers of an executor whose start method is fork. Not for users.
//
// A process with a supervising thread must not fork: so the seed, a fork of the process as it was when the executor was
// created, forks the workers. It has one thread, and all workers find the memory of that moment, also those that come
// later. How each ended it hands on as it learns it.
#ifndef BROOD_LAUNCHER_EXECUTOR_SEED_H_
#define BROOD_LAUNCHER_EXECUTOR_SEED_H_

#include <memory>

#include "absl/status/statusor.h"
#include "launcher/context.h"
#include "launcher/executor/births.h"
#include "launcher/launch_options.h"

namespace brood::internal {

// Forks the seed. Errors: those of Context::Start.
absl::StatusOr<std::unique_ptr<Births>> SeedBirths(const Context& context, const LaunchOptions& launch,
                                                   const WorkerSetup& setup);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_SEED_H_
