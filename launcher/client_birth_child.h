// What a child of `brood serve` has of its client as a process, as it would have it without the server.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_CLIENT_BIRTH_CHILD_H_
#define BROOD_LAUNCHER_CLIENT_BIRTH_CHILD_H_

#include <sys/resource.h>

namespace brood::internal {

// None of it is more than the server has itself.
struct ClientBirth {
  int file_mask = -1;  // -1: the server's.
  bool has_nice = false;
  int nice = 0;
  bool has_limit[RLIM_NLIMITS] = {};
  rlimit limits[RLIM_NLIMITS] = {};
};

// Gives it to the calling process. Returns 0 or an errno value.
int BeBornAs(const ClientBirth& birth);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_CLIENT_BIRTH_CHILD_H_
