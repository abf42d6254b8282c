// From whom a process descends.
#ifndef BROOD_SERVE_ANCESTORS_H_
#define BROOD_SERVE_ANCESTORS_H_

#include <sys/types.h>

#include <vector>

namespace brood::internal {

// `pid` and those above it, the nearest first; what orphans have is their subreaper. Only as true as the process lives on.
std::vector<pid_t> AncestorsOf(pid_t pid);

// Of what a pidfd stands for; 0: nothing that lives and is seen here. pidfd_open(2)
pid_t PidOfPidfd(int pidfd);

}  // namespace brood::internal

#endif  // BROOD_SERVE_ANCESTORS_H_
