// Puts a key into a keyring of the kernel.
#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(void) {
  return Attempt("add a key", syscall(SYS_add_key, "user", "brood", "x", 1, KEY_SPEC_PROCESS_KEYRING));
}
