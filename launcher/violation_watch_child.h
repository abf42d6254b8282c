// Sees the calls that a child's filter forbids, wants to be told of, or leaves to the guardian.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_VIOLATION_WATCH_CHILD_H_
#define BROOD_LAUNCHER_VIOLATION_WATCH_CHILD_H_

#include <linux/seccomp.h>

#include "launcher/connect_service_child.h"
#include "launcher/launch_record.h"

namespace brood::child {

class ViolationWatch {
 public:
  explicit ViolationWatch(const ChildPlan& plan) : plan_(plan), connects_(plan) {}
  void Begin(int listener);                   // The filter's; ours from now on. -1: there is none.
  int listener() const { return listener_; }  // To be polled for POLLIN; -1: for nothing.

  // After poll(2) gave `events`. True if a call was forbidden, which `report` then tells. No answer is given: the call never
  // returns, because the tree is to be killed now. A call that was only to be told goes on.
  bool Receive(short events, GuardianReport* report);

  // The descriptor of connections that take time, to be polled for POLLIN, and what to do then.
  int pending() const { return connects_.pending(); }
  void OnPending() { connects_.OnPending(listener_); }

  // A call was forbidden and did not take effect, but it was gone before it could be asked for. Not where the filter tells of
  // calls that are allowed too: which of them it was nobody knows.
  bool seen() const { return seen_; }

  void End();

 private:
  void Report(const seccomp_notif& notification, GuardianReport* report) const;
  void LetThrough(uint64_t id) const;

  const ChildPlan& plan_;
  ConnectService connects_;
  int listener_ = -1;
  bool only_violations_ = false;
  bool seen_ = false;
};

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_VIOLATION_WATCH_CHILD_H_
