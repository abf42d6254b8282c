// Dies of SIGSEGV, by its own hand.
#include <signal.h>

int main(void) {
  raise(SIGSEGV);
  return 0;
}
