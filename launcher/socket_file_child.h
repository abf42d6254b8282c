// Connects to a UNIX socket whose file may lie where a child writes.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_SOCKET_FILE_CHILD_H_
#define BROOD_LAUNCHER_SOCKET_FILE_CHILD_H_

#include <sys/socket.h>

#include "sandbox/child_plan.h"

namespace brood::child {

// As connect(2), for any address. In a directory that the plan shows writable no link is followed to the file of a local socket
// (ELOOP): the child could put one there that leads to a socket which only its caller may connect to.
int ConnectAsListed(const ChildPlan& plan, int socket, const sockaddr_storage& address, socklen_t length);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_SOCKET_FILE_CHILD_H_
