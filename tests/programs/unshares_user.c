// Makes a user namespace.
#define _GNU_SOURCE
#include <sched.h>

#include "tests/programs/attack.h"

int main(void) { return Attempt("make a user namespace", unshare(CLONE_NEWUSER)); }
