// The server's side: a process that was started by exec, has run its preload functions, and forks a child for each
// request. It has one thread, which is checked before each fork, no stream of the user's, and no data of any request: what
// a request says is read in the fork.
//
// It ends with its owner, the process that started it: a descriptor of that tells, because a fork of the owner may hold a
// copy of the socket. Its children do not end with it: each has a guardian, which reports to the client.
#ifndef BROOD_FORKSERVER_SERVER_H_
#define BROOD_FORKSERVER_SERVER_H_

#include <string_view>

#include "forkserver/request.h"

namespace brood::internal {

// What the user of the server does with a request.
struct ForkHandler {
  // In a fork of the server that has one thread, all signals blocked. Must not return.
  void (*run)(Request& request) = nullptr;
  // In the server, when it cannot give the request a fork. `error` is an errno value or 0.
  void (*refuse)(Request& request, int error, std::string_view detail) = nullptr;
};

// Makes Bootstrap() able to be a server, for requests that `handler` carries out. Once, from a static initialiser.
bool ServeForks(const ForkHandler& handler);

// How a server that starts tells its client of it: records on the socket.
struct ServerNote {
  enum class Kind : uint32_t {
    kPreloading = 1,  // `text`: what is preloaded next.
    kReady = 2,  // `text`: whether, and what, was frozen, or why not; for people.
    kFailed = 3,  // `text` says why; the server has ended.
  };
  uint32_t magic = 0x53445242;  // "BRDS"
  Kind kind = Kind::kReady;
  char text[1016] = {};  // Zero-terminated, cut if longer.
};

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_SERVER_H_
