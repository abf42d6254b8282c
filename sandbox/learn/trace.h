// Runs a program and sees every system call of it and of all that it starts. ptrace(2).
//
//   BROOD_ASSIGN_OR_RETURN(int status, TraceProgram({.argv = {"gzip", "a"}, .env = env}, [&](const TracedCall& call) { ... }));
//
// Nothing is confined: the program does what it does. Some ten microseconds a call. Call it from a process with one thread and
// no other children.
#ifndef BROOD_SANDBOX_LEARN_TRACE_H_
#define BROOD_SANDBOX_LEARN_TRACE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace brood {

struct TracedCall {
  std::string program;  // As ps(1) shows it.
  std::string syscall;
  std::array<uint64_t, 6> args = {};
  int64_t result = 0;  // Below 0: a negative errno.
  // Absolute, for calls that name files; links are not followed.
  std::string path;
  std::string other_path;       // The second, of rename and link.
  bool path_was_there = false;  // Before the call.
  std::string address;          // A sockaddr, for connect, bind and sendto.
};

struct TraceOptions {
  std::vector<std::string> argv;
  std::vector<std::string> candidates;  // Paths to try in turn.
  std::vector<std::string> env;
};

// Returns the wait status of the program, once all that it started has ended.
//
// Calls that policies answer with ENOSYS get that here too, so that the program takes the same way as it will then: clone3,
// io_uring, and what is newer than brood's table.
//
// Errors: NotFound, PermissionDenied (no such program; or no tracing here, as in some containers).
absl::StatusOr<int> TraceProgram(const TraceOptions& options, const std::function<void(const TracedCall&)>& on_call);

}  // namespace brood

#endif  // BROOD_SANDBOX_LEARN_TRACE_H_
