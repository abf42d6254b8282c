// Prints each signal that is blocked, and each whose disposition is not the default one.
#include <signal.h>
#include <stdio.h>

int main(void) {
  sigset_t blocked;
  sigprocmask(SIG_SETMASK, NULL, &blocked);
  for (int number = 1; number <= 64; ++number) {
    struct sigaction action;
    if (sigismember(&blocked, number) == 1) printf("blocked %d\n", number);
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL) printf("not default %d\n", number);
  }
  return 0;
}
