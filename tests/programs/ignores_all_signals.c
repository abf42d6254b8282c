// Ignores and blocks every signal that can be, and sleeps.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
  for (int number = 1; number <= 64; ++number) signal(number, SIG_IGN);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  puts("ignoring");
  fflush(stdout);
  for (;;) pause();
}
