// What a server has of processes besides its children: read from /proc when it is asked.
#ifndef BROOD_SERVE_OWN_PROCESSES_H_
#define BROOD_SERVE_OWN_PROCESSES_H_

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace brood::internal {

struct OwnProcesses {
  uint64_t own_bytes = 0;         // Resident.
  uint64_t forkserver_bytes = 0;
  uint64_t servers = 0;
  uint64_t keepers = 0;           // Of the first some thousand children of a supervisor.
};

OwnProcesses CountOwnProcesses(const std::vector<pid_t>& supervisors);

}  // namespace brood::internal

#endif  // BROOD_SERVE_OWN_PROCESSES_H_
