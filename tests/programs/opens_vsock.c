// Opens a vsock socket.
#define _GNU_SOURCE
#include <sys/socket.h>

#include "tests/programs/attack.h"

int main(void) { return Attempt("open a vsock socket", socket(AF_VSOCK, SOCK_STREAM, 0)); }
