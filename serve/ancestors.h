// From whom a process descends.
#ifndef BROOD_SERVE_ANCESTORS_H_
#define BROOD_SERVE_ANCESTORS_H_

#include <sys/types.h>

#include <vector>

namespace brood::internal {

// `pid` and those above it, the nearest first; what orphans have is their subreaper. Only as true as the process lives on.
std::vector<pid_t> AncestorsOf(pid_t pid);

}  // namespace brood::internal

#endif  // BROOD_SERVE_ANCESTORS_H_
