// Fills so many MiB and keeps them until it is ended.
#include <stdlib.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 2) return Usage("holds_memory MIB");
  const size_t size = (size_t)atoi(argv[1]) << 20;
  volatile char* memory = malloc(size);
  if (memory == NULL) return Attempt("take memory", -1);
  for (size_t at = 0; at < size; at += 4096) memory[at] = 1;
  for (;;) pause();
}
