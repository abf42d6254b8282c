// Exits with 0 when it is asked to end.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void End(int signal_number) {
  (void)signal_number;
  _exit(0);
}

int main(void) {
  signal(SIGTERM, End);
  puts("trapping");
  fflush(stdout);
  for (;;) pause();
}
