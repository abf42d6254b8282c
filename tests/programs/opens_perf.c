// Opens a performance counter.
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(void) {
  struct perf_event_attr attribute;
  memset(&attribute, 0, sizeof attribute);
  attribute.type = PERF_TYPE_SOFTWARE;
  attribute.size = sizeof attribute;
  attribute.config = PERF_COUNT_SW_CPU_CLOCK;
  attribute.exclude_kernel = 1;
  return Attempt("open a performance counter", syscall(SYS_perf_event_open, &attribute, 0, -1, -1, 0));
}
