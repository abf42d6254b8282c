// Reads the time stamp counter of the processor.
#include <stdio.h>

int main(void) {
#if defined(__x86_64__)
  unsigned low = 0, high = 0;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return low == 0 && high == 0 ? 1 : 0;
#else
  return 2;
#endif
}
