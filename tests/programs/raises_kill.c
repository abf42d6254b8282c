// Dies of SIGKILL, by its own hand.
#include <signal.h>

int main(void) {
  raise(SIGKILL);
  return 0;
}
