// What a server runs before it serves.
#ifndef BROOD_FORKSERVER_PRELOAD_H_
#define BROOD_FORKSERVER_PRELOAD_H_

#include <string>

#include "absl/status/status.h"

namespace brood::internal {

// Runs the target `name`, which takes no arguments. Errors: those of the target, its exception among them, naming it.
absl::Status Preload(const std::string& name);

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_PRELOAD_H_
