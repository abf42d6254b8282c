// Dies of SIGTERM, by its own hand.
#include <signal.h>

int main(void) {
  raise(SIGTERM);
  return 0;
}
