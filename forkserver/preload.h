// What a server runs before it serves.
#ifndef BROOD_FORKSERVER_PRELOAD_H_
#define BROOD_FORKSERVER_PRELOAD_H_

#include <functional>
#include <string>

#include "absl/status/status.h"

namespace brood::internal {

// Runs the target `name`, which takes no arguments. `tell` is told what is done next: "load", of a plugin's, or "run".
// Errors: those of the target, its exception among them, naming it and what was done.
absl::Status Preload(const std::string& name, const std::function<void(const char* phase)>& tell);

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_PRELOAD_H_
