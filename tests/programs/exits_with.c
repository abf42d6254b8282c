// Exits with the code named.
#include <stdlib.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 2) return Usage("exits_with CODE");
  return atoi(argv[1]);
}
