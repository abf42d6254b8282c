#include "launcher/executor/seed.h"

namespace brood::internal {

// There is no fork, which the first start says.
absl::StatusOr<std::unique_ptr<Births>> SeedBirths(const Context& context, const LaunchOptions& launch,
                                                   const WorkerSetup& setup) {
  return DirectBirths(context, launch, setup);
}

}  // namespace brood::internal
