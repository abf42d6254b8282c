// Dies of SIGXCPU, by its own hand.
#include <signal.h>

int main(void) {
  raise(SIGXCPU);
  return 0;
}
