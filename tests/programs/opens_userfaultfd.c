// Opens a userfaultfd.
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(void) { return Attempt("open a userfaultfd", syscall(SYS_userfaultfd, 1)); }
