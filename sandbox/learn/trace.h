// Runs a program and sees every system call of it and of all that it starts. ptrace(2).
//
//   BROOD_ASSIGN_OR_RETURN(TraceEnd end, TraceProgram({.argv = {"gzip", "a"}, .env = env}, [&](const TracedCall& call) { ... }));
//
// Nothing is confined: the program does what it does. Some ten microseconds a call. Call it from a process with one thread and
// no other children, which is its own: TERM, INT and HUP are taken while it runs.
#ifndef BROOD_SANDBOX_LEARN_TRACE_H_
#define BROOD_SANDBOX_LEARN_TRACE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace brood {

struct TracedCall {
  std::string program;  // As ps(1) shows it.
  std::string syscall;
  int64_t number = -1;  // Of the native architecture.
  std::array<uint64_t, 6> args = {};
  int64_t result = 0;  // Below 0: a negative errno.
  // Absolute, for calls that name files; links are not followed.
  std::string path;
  std::string other_path;       // The second, of rename and link.
  std::vector<std::string> crossed_links;  // Links on the way to these behind which ".." stands.
  bool path_was_there = false;  // Before the call.
  // A sockaddr each, for connect, bind, sendto, sendmsg and sendmmsg. The path of a UNIX socket is absolute here.
  std::vector<std::string> addresses;
  bool relative_address = false;  // The program gave a relative one.
  int socket_type = -1;           // SOCK_*, for those.
  std::string own_address;        // Of the socket, once one of those or listen has given it one.
};

struct TraceOptions {
  std::vector<std::string> argv;
  std::vector<std::string> candidates;  // Paths to try in turn.
  std::vector<std::string> env;
  absl::Duration wall_time = absl::InfiniteDuration();  // Then all are killed.
};

struct TraceEnd {
  int status = 0;          // As of waitpid(2).
  bool timed_out = false;
  bool killed = false;     // By a second TERM, INT or HUP to us; the first is passed on to the program.
};

// Returns when the program has ended. What it leaves running is killed then, as it is under a policy.
//
// Calls that policies answer with ENOSYS get that here too, so that the program takes the same way as it will then: clone3,
// openat2, io_uring, and what is newer than brood's table.
//
// Errors: NotFound, PermissionDenied (no such program; or no tracing here, as in some containers).
absl::StatusOr<TraceEnd> TraceProgram(const TraceOptions& options, const std::function<void(const TracedCall&)>& on_call);

}  // namespace brood

#endif  // BROOD_SANDBOX_LEARN_TRACE_H_
