// Says "ready", then waits for SIGTERM and exits with 3.
#include <signal.h>
#include <unistd.h>

int main(void) {
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, NULL);
  if (write(STDOUT_FILENO, "ready\n", 6) != 6) return 1;
  int signal_number = 0;
  sigwait(&term, &signal_number);
  return 3;
}
