// Opens the kernel's core pattern for writing, and writes nothing.
#define _GNU_SOURCE
#include <fcntl.h>

#include "tests/programs/attack.h"

int main(void) { return Attempt("open core_pattern", open("/proc/sys/kernel/core_pattern", O_WRONLY)); }
