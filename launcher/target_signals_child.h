// The signals that a caller sends to a target, which may not run yet.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_TARGET_SIGNALS_CHILD_H_
#define BROOD_LAUNCHER_TARGET_SIGNALS_CHILD_H_

#include <sys/types.h>

#include <cstdint>

namespace brood::child {

class TargetSignals {
 public:
  // `with_session`: the target has a session of its own, whose leader is its init; `leads`: or itself.
  explicit TargetSignals(bool with_session, bool leads = false) : with_session_(with_session), leads_(leads) {}

  // The target is there. `init`: our child, the target itself where there is none between us. `pid`: the target's number
  // here, 0 if that is not known. `pidfd` is borrowed.
  void Born(pid_t init, pid_t pid, int pidfd);

  // Sends it, or keeps it until SendKept if the target is not there. Numbers that are none are dropped.
  void Send(int signal, bool to_group);

  // The target runs.
  void SendKept();

 private:
  void SendNow(int signal, bool to_group) const;
  void SendToGroup(int signal) const;

  const bool with_session_;
  const bool leads_;
  pid_t init_ = -1;
  pid_t pid_ = 0;
  int pidfd_ = -1;
  uint64_t kept_ = 0;  // Bit n-1 for signal n.
  uint64_t kept_for_group_ = 0;
};

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_TARGET_SIGNALS_CHILD_H_
