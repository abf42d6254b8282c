// Makes a system call that no kernel has yet. A libc that tries a new call relies on ENOSYS.
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(void) { return Attempt("system call 987", syscall(987)); }
