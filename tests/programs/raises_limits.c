// Raises its own limits, and makes itself the last one to be killed for memory.
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(void) {
  const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
  struct rlimit now = {0, 0};
  // A filter may say that it was done: what counts is the limit.
  int lifted = setrlimit(RLIMIT_CORE, &all);
  if (lifted == 0 && getrlimit(RLIMIT_CORE, &now) == 0 && now.rlim_max != RLIM_INFINITY) {
    errno = EPERM;
    lifted = -1;
  }
  int code = Attempt("lift the core limit", lifted);
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY);
  code &= Attempt("avoid the OOM killer", fd < 0 ? -1 : write(fd, "-1000", 5));
  return code;
}
