// Says "ready", then waits for SIGTERM and exits with 3.
#include <unistd.h>

#include <csignal>

int main() {
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, nullptr);
  if (write(STDOUT_FILENO, "ready\n", 6) != 6) return 1;
  int signal = 0;
  sigwait(&term, &signal);
  return 3;
}
