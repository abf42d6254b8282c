// The process outside. It has the secret in its arguments, memory and environment, waits for signals, and tells its
// standard output of each, so that whoever started it sees what reached it.
//
// All signals that can be are blocked and taken one by one, the lowest number first: when it answers SIGRTMAX all that
// came before has been told. sigwaitinfo(2), signal(7) "Queueing and delivery semantics for real-time signals".
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

static char g_secret[64];
static volatile long g_word = 1;

int VictimMain(const char* secret) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  snprintf(g_secret, sizeof g_secret, "%s", secret);
  // Descriptor 9 is for those who take descriptors from others.
  const int file = memfd_create("victim", 0);
  if (file < 0 || write(file, g_secret, strlen(g_secret)) < 0 || dup2(file, 9) < 0) return 1;
  if (printf("secret=%p word=%p\n", (void*)g_secret, (void*)&g_word) < 0 || fflush(stdout) != 0) return 1;
  for (;;) {
    const int number = sigwaitinfo(&all, NULL);
    if (number < 0) continue;
    if (number == SIGRTMAX) {
      printf("pong word=%ld\n", g_word);
    } else {
      printf("signal %d\n", number);
    }
    fflush(stdout);
  }
}
