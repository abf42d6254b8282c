// What the start of a forkserver took.
#ifndef BROOD_FORKSERVER_SERVER_REPORT_H_
#define BROOD_FORKSERVER_SERVER_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace brood {

struct PreloadReport {
  std::string name;  // As in ContextOptions::preload.
  absl::Duration time;
  // Resident at its end and not at its beginning, in memory that is the server's own or PreloadMemory(): what each child has to
  // get a copy of the page tables for, unless it is frozen.
  uint64_t memory_bytes = 0;
};

struct ServerReport {
  absl::Duration time;  // From its beginning until it serves: the preloads, freezing, and what it prepares for its children.
  std::vector<PreloadReport> preloads;
  std::string frozen;  // For people: what was frozen in how much time, or why nothing.

  // "ready in 1.2s: LoadModel 1.1s, 800.0 MiB; not frozen: not asked for".
  std::string ToString() const;
};

}  // namespace brood

#endif  // BROOD_FORKSERVER_SERVER_REPORT_H_
