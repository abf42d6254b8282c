// Computes for ever, in one thread or in as many processes as asked for.
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
  for (int i = 1; i < (argc > 1 ? atoi(argv[1]) : 1); ++i) {
    if (fork() == 0) break;
  }
  for (volatile unsigned long i = 0;; ++i) {
  }
}
