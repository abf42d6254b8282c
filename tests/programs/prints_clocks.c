// Prints how many seconds CLOCK_MONOTONIC, CLOCK_BOOTTIME and the machine's uptime are.
#include <stdio.h>
#include <sys/sysinfo.h>
#include <time.h>

int main(void) {
  struct timespec monotonic, boottime;
  struct sysinfo about;
  if (clock_gettime(CLOCK_MONOTONIC, &monotonic) != 0 || clock_gettime(CLOCK_BOOTTIME, &boottime) != 0 || sysinfo(&about) != 0) return 1;
  printf("%lld %lld %ld\n", (long long)monotonic.tv_sec, (long long)boottime.tv_sec, about.uptime);
  return 0;
}
