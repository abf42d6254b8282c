// Waits for the end of its standard input, then exits with the code named.
#include <stdlib.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  char byte;
  if (argc != 2) return Usage("awaits_end CODE");
  while (read(0, &byte, 1) > 0) {
  }
  return atoi(argv[1]);
}
