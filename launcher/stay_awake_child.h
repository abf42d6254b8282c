// Keeps a guardian from staying stopped.
//
// SIGSTOP cannot be blocked, and every process of the same user may send it: a target too that no pid namespace keeps
// from seeing its guardian. No process would be left to notice, so it is the kernel that continues the guardian: a POSIX
// timer goes on in a stopped process, a socket can send a signal when it has something to say, and SIGCONT continues a
// process when it is sent, blocked or not. timer_create(2), fcntl(2) "F_SETSIG", signal(7).
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_STAY_AWAKE_CHILD_H_
#define BROOD_LAUNCHER_STAY_AWAKE_CHILD_H_

#include <cstdint>

namespace brood::child {

// Of the calling process, all of whose signals are blocked. Where the kernel gives no timer (RLIMIT_SIGPENDING) it does
// nothing: only what is stopped needs it.
class StayAwake {
 public:
  // Should we be stopped at `time_ns` of CLOCK_MONOTONIC, we are continued then, once. Replaces the time that was given
  // before; 0: never.
  void Until(uint64_t time_ns);

  // Should we be stopped when something comes on `socket`, or its other end is closed, we are continued. -1 is no error.
  static void Hear(int socket);

 private:
  enum class State { kNone, kMade, kRefused };
  State state_ = State::kNone;
  int timer_ = 0;
  uint64_t set_ = 0;
};

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_STAY_AWAKE_CHILD_H_
