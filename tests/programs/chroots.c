// Changes its root.
#define _GNU_SOURCE
#include <unistd.h>

#include "tests/programs/attack.h"

int main(void) { return Attempt("chroot", chroot("/")); }
