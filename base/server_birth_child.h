// Starts a process that serves several others: a forkserver, or the broker of names.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_BASE_SERVER_BIRTH_CHILD_H_
#define BROOD_BASE_SERVER_BIRTH_CHILD_H_

namespace brood::child {

inline constexpr int kServerSocket = 3;  // Its number in the server.

struct ServerBirth {
  int executable = -1;
  int socket = -1;
  const char* const* argv = nullptr;
  const char* const* envp = nullptr;
  // BearOwnServer, if not 0, a multiple of 64: `executable`, `socket` and the streams are below it, and of what is above the server never
  // has a copy, whose close may wait for somebody.
  int first_other = 0;
  int pid = 0;        // BearOwnServer: of the server.
  int pidfd = -1;     // Of the server, once it is born. The caller's to close.
  int error = 0;      // errno of `step`.
  const char* step = nullptr;  // What failed; null: nothing.
};

// The server is born with all signals blocked. It is nobody's child here: a program that waits for all of its children
// must not meet one that ends only with the program itself. It is handed to the nearest subreaper, or pid 1.
void BearServer(ServerBirth* birth);

// As BearServer, but it becomes a child of the caller, with SIGCHLD as its exit signal.
void BearOwnServer(ServerBirth* birth);

}  // namespace brood::child

#endif  // BROOD_BASE_SERVER_BIRTH_CHILD_H_
