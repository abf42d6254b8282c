// Starts so many threads, or says at which one it was stopped.
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/programs/attack.h"

static void* Sleep(void* unused) {
  for (;;) pause();
  return unused;
}

int main(int argc, char** argv) {
  if (argc != 2) return Usage("many_threads COUNT");
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 64 << 10);
  int started = 0;
  for (; started < atoi(argv[1]); ++started) {
    pthread_t thread;
    errno = pthread_create(&thread, &small, Sleep, NULL);
    if (errno != 0) break;
  }
  const int error = errno;
  printf("started: %d\n", started);
  errno = error;
  return Attempt("start all threads", error == 0 ? 0 : -1);
}
