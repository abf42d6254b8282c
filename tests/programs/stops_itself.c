// Stops itself, as Ctrl-Z would, so that it can't be asked to end.
#include <signal.h>

int main(void) {
  for (;;) raise(SIGSTOP);
}
