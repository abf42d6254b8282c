// Opens a netlink socket.
#define _GNU_SOURCE
#include <sys/socket.h>

#include "tests/programs/attack.h"

int main(void) { return Attempt("open a netlink socket", socket(AF_NETLINK, SOCK_RAW, 0)); }
