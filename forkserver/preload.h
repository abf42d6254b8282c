// What a server runs before it serves.
#ifndef BROOD_FORKSERVER_PRELOAD_H_
#define BROOD_FORKSERVER_PRELOAD_H_

#include <string>

#include "absl/status/status.h"
#include "base/unique_fd.h"

namespace brood::internal {

// Runs the target `name`, which takes no arguments. Errors: those of the target, its exception among them, naming it.
absl::Status Preload(const std::string& name);

// While one exists, a process of its own kills this one when `owner` (a pidfd) ends: a preload that never returns would
// not see that.
class OwnerWatch {
 public:
  explicit OwnerWatch(int owner);
  OwnerWatch(const OwnerWatch&) = delete;
  OwnerWatch& operator=(const OwnerWatch&) = delete;
  ~OwnerWatch();

 private:
  UniqueFd done_;
  int pid_ = -1;
};

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_PRELOAD_H_
