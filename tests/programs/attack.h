// How a hostile program tells its test what happened.
//
//   int main(void) { return Attempt("mount a tmpfs", mount("none", "/tmp", "tmpfs", 0, NULL)); }
//
// One line per attempt, "worked: WHAT" or "refused: WHAT: ERRNO", and exit code 0 only if one worked. A program that
// is killed on the way has said neither, and its test asks the outcome.
#ifndef BROOD_TESTS_PROGRAMS_ATTACK_H_
#define BROOD_TESTS_PROGRAMS_ATTACK_H_

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { kWorked = 0, kRefused = 1, kUsage = 2 };

// `result` is what a system call returned. Gives the exit code.
static inline int Attempt(const char* what, long result) {
  const int error = errno;
  if (result >= 0) {
    printf("worked: %s\n", what);
  } else {
    printf("refused: %s: %s\n", what, strerror(error));
  }
  fflush(stdout);
  return result >= 0 ? kWorked : kRefused;
}

static inline int Usage(const char* text) {
  fprintf(stderr, "usage: %s\n", text);
  return kUsage;
}

#endif  // BROOD_TESTS_PROGRAMS_ATTACK_H_
