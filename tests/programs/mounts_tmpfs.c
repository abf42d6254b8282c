// Mounts a tmpfs over /tmp. Only for the inside of a private mount namespace.
#include <sys/mount.h>

#include "tests/programs/attack.h"

int main(void) { return Attempt("mount a tmpfs", mount("none", "/tmp", "tmpfs", 0, NULL)); }
