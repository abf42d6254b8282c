// What a server does between its preload and its first fork.
#ifndef BROOD_FORKSERVER_SETTLE_H_
#define BROOD_FORKSERVER_SETTLE_H_

#include <string>

#include "absl/status/statusor.h"
#include "serialization/messages.h"

namespace brood::internal {

// Seals what was allocated from PreloadMemory(), and freezes the process as `freeze` says. Returns for people what has become
// of that. May be called again after more was preloaded.
//
// Errors: those of PreloadArena::Seal; with Freeze::kOn, those of FreezeProcess.
absl::StatusOr<std::string> SettlePreload(Freeze freeze);

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_SETTLE_H_
