#include "launcher/client_birth_child.h"

#include <sys/stat.h>

#include <cerrno>

namespace brood::internal {

int BeBornAs(const ClientBirth& birth) {
  if (birth.file_mask >= 0) umask(static_cast<mode_t>(birth.file_mask));
  if (birth.has_nice && setpriority(PRIO_PROCESS, 0, birth.nice) != 0) return errno;
  for (int i = 0; i < RLIM_NLIMITS; ++i) {
    if (birth.has_limit[i] && setrlimit(static_cast<__rlimit_resource>(i), &birth.limits[i]) != 0) return errno;
  }
  return 0;
}

}  // namespace brood::internal
