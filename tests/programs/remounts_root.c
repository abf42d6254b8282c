// Makes the read-only root writable. Only for the inside of a private mount namespace.
#include <sys/mount.h>

#include "tests/programs/attack.h"

int main(void) { return Attempt("remount / writable", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL)); }
