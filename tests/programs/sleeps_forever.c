// Says so, and waits for a signal that never comes.
#include <stdio.h>
#include <unistd.h>

int main(void) {
  puts("asleep");
  fflush(stdout);
  for (;;) pause();
}
