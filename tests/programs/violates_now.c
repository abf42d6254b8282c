// Says when, by CLOCK_MONOTONIC in nanoseconds, and ends at once: "exit", or by a call that `strict` forbids.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char** argv) {
  struct timespec now;
  char text[32];
  clock_gettime(CLOCK_MONOTONIC, &now);
  const int length = snprintf(text, sizeof(text), "%llu\n", now.tv_sec * 1000000000ull + (unsigned long long)now.tv_nsec);
  if (write(STDOUT_FILENO, text, (size_t)length) != length) return 1;
  if (argc > 1 && strcmp(argv[1], "violate") == 0) socket(AF_INET, SOCK_STREAM, 0);
  return 0;
}
