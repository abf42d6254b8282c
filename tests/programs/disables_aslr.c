// Turns address space randomisation off for its children.
#define _GNU_SOURCE
#include <sys/personality.h>

#include "tests/programs/attack.h"

int main(void) { return Attempt("turn ASLR off", personality(ADDR_NO_RANDOMIZE)); }
