// Makes a system call of the i386 ABI, whose numbers mean other things: getpid is 20, which is writev on x86-64.
#include <unistd.h>

#include "tests/programs/attack.h"

int main(void) {
  long result = 20;
  __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
  if (result < 0) errno = (int)-result;
  return Attempt("getpid by int 0x80", result);
}
