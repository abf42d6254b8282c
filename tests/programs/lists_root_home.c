// Opens root's home.
#define _GNU_SOURCE
#include <fcntl.h>

#include "tests/programs/attack.h"

int main(void) { return Attempt("open /root", open("/root", O_RDONLY | O_DIRECTORY)); }
