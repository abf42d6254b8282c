// Takes memory and touches it, up to so many MiB.
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 2) return Usage("memory_bomb MIB");
  const size_t chunk = 1 << 20;
  for (int i = 0; i < atoi(argv[1]); ++i) {
    char* memory = mmap(NULL, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return Attempt("take all that memory", -1);
    memset(memory, i | 1, chunk);
  }
  return Attempt("take all that memory", 0);
}
