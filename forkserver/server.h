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

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "forkserver/birth.h"
#include "forkserver/request.h"
#include "forkserver/supervisor.h"

namespace brood::internal {

// What the user of the server does with a request.
struct ForkHandler {
  // In a fork of the server that has one thread, all signals blocked; the request's tag is an OrderTag. Must not return.
  void (*run)(Request& request) = nullptr;
  // Before `run`, of a request without descriptors: returns if it is to be run by that. `bytes` are aligned to 8.
  void (*run_in_place)(std::string_view bytes, int sender, const child::SlotBirth* slot) = nullptr;
  // As `run`, of what is not a request.
  void (*fail)(Request& request, const absl::Status& status) = nullptr;
  // In a fork of the server, before it keeps anybody: gives the bytes of a request that `run` takes and that does nothing, and
  // makes that possible. See warm.h.
  std::string (*rehearse)() = nullptr;
  // In the supervisor.
  Supervisor::Admit admit = nullptr;
  SlotMaker make_slot = nullptr;
};

// Makes Bootstrap() able to be a server, for requests that `handler` carries out. Once, from a static initialiser.
bool ServeForks(const ForkHandler& handler);

// A fork of a server, with `first` as the request that starts a server: it runs what that says, and serves `socket`.
[[noreturn]] void ServeTemplate(int socket, Request first);

// In a fork of the server: the limits that it was born with, of which it has raised some.
void RestoreLimitsAtBirth();

// In a fork of the server: what that was when it had preloaded, and so its keepers are.
const Birth& BirthOfServer();

// How a server that starts tells its client of it: records on the socket.
struct ServerNote {
  enum class Kind : uint32_t {
    kPreloading = 1,  // `text`: what is done next, "preload libx.so:Load: run".
    kReady = 2,  // `text`: whether, and what, was frozen, or why not; for people.
    kFailed = 3,  // `text` says why; the server has ended.
    kPreloaded = 5,   // `text`: what; how long that took, and what it has left in memory, of the preload's name.
    kBorn = 6,        // Of a template, with a descriptor of its supervisor: template.h.
    kLease = 4,   // To a request for a keeper: with its socket. After kReady; kFailed is the other answer then.
  };
  uint32_t magic = 0x53445242;  // "BRDS"
  Kind kind = Kind::kReady;
  uint64_t nanoseconds = 0;  // kPreloaded, and kReady: of all.
  uint64_t bytes = 0;        // kPreloaded: that were not there before, and a fork has to copy or to share.
  char text[1000] = {};      // Zero-terminated, cut if longer.

  void SetText(std::string_view what) { memcpy(text, what.data(), std::min(what.size(), sizeof(text) - 1)); }
  std::string_view Text() const { return {text, strnlen(text, sizeof(text))}; }
};

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_SERVER_H_
