// Raises its own limits, and makes itself the last one to be killed for memory.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(void) {
  const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
  int code = Attempt("lift the core limit", setrlimit(RLIMIT_CORE, &all));
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY);
  code &= Attempt("avoid the OOM killer", fd < 0 ? -1 : write(fd, "-1000", 5));
  return code;
}
