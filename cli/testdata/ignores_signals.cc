// Ignores TERM, INT and HUP, says "ready", then waits for ever.
#include <unistd.h>

#include <csignal>
#include <initializer_list>

int main() {
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) signal(number, SIG_IGN);
  if (write(STDOUT_FILENO, "ready\n", 6) != 6) return 1;
  while (true) pause();
}
