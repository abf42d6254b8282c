// Makes the system call with the number and arguments given, and prints what it returns, a failure as its negative errno.
// usage: makes_call NUMBER [ARG...]
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
  unsigned long long words[7] = {0};
  for (int i = 1; i < argc && i <= 7; ++i) words[i - 1] = strtoull(argv[i], NULL, 0);
  const long result = syscall((long)words[0], words[1], words[2], words[3], words[4], words[5], words[6]);
  printf("%ld\n", result == -1 ? -(long)errno : result);
  return 0;
}
