// Makes a system call of the x32 ABI: getpid with bit 30 set.
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(void) { return Attempt("getpid of the x32 ABI", syscall(0x40000000 | SYS_getpid)); }
