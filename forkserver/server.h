// The forkserver's own processes, each started by exec: the supervisor (supervisor.h), which the client starts and talks
// to, and the server proper, which that starts. The server has run its preload functions and forks a child for each order, in
// processes that share its memory (keeper_child.h).
// It has one thread, which is checked before each fork, no stream of the user's, and no data of any request: what a
// request says is read in the fork.
//
// Both end with their owner, the process that started them: a descriptor of that tells, because a fork of the owner may
// hold a copy of the socket.
#ifndef BROOD_FORKSERVER_SERVER_H_
#define BROOD_FORKSERVER_SERVER_H_

#include <string>

#include "absl/status/status.h"
#include "forkserver/request.h"
#include "forkserver/supervisor.h"

namespace brood::internal {

// What the user of the server does with a request.
struct ForkHandler {
  // In a fork of the server that has one thread, all signals blocked; the request's tag is an OrderTag. Must not return.
  void (*run)(Request& request) = nullptr;
  // As `run`, of what is not a request.
  void (*fail)(Request& request, const absl::Status& status) = nullptr;
  // In a fork of the server, before it keeps anybody: gives the bytes of a request that `run` takes and that does nothing, and
  // makes that possible. See warm.h.
  std::string (*rehearse)() = nullptr;
  // In the supervisor.
  Supervisor::Admit admit = nullptr;
};

// Makes Bootstrap() able to be a server, for requests that `handler` carries out. Once, from a static initialiser.
bool ServeForks(const ForkHandler& handler);

// In a fork of the server: the limits that it was born with, of which it has raised some.
void RestoreLimitsAtBirth();

// How a server that starts tells its client of it: records on the socket.
struct ServerNote {
  enum class Kind : uint32_t {
    kPreloading = 1,  // `text`: what is preloaded next.
    kReady = 2,  // `text`: whether, and what, was frozen, or why not; for people.
    kFailed = 3,  // `text` says why; the server has ended.
    kLease = 4,   // To a request for a keeper: with its socket. After kReady; kFailed is the other answer then.
  };
  uint32_t magic = 0x53445242;  // "BRDS"
  Kind kind = Kind::kReady;
  char text[1016] = {};  // Zero-terminated, cut if longer.
};

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_SERVER_H_
