// The inside of an object that changes more than one word: one process at a time, and no death matters.
//
//   BROOD_ASSIGN_OR_RETURN(const Monitor monitor, Monitor::Enter(*region, shared->word, deadline));
//   if (monitor.took_over()) ...   // The process inside was killed. Compute again what is derived from what it stored.
//
// Each operation inside takes effect by one atomic store, so that a death leaves it either done or not begun.
#ifndef BROOD_IPC_MONITOR_H_
#define BROOD_IPC_MONITOR_H_

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "ipc/futex.h"
#include "ipc/owned_word.h"
#include "ipc/region.h"

namespace brood::internal {

class Monitor {
 public:
  // Waits for whoever is inside, also beyond `deadline`, but then at most a second: operations inside are short, and
  // only a process that was stopped inside takes longer. Errors: DeadlineExceeded, and those of Region::Self.
  static absl::StatusOr<Monitor> Enter(const Region& region, OwnedWord& word, const Deadline& deadline);

  Monitor(Monitor&& other) noexcept
      : word_(std::exchange(other.word_, nullptr)), self_(other.self_), took_over_(other.took_over_) {}
  Monitor& operator=(Monitor&&) = delete;
  ~Monitor() { Leave(); }

  void Leave();
  bool took_over() const { return took_over_; }
  Member& self() const { return *self_; }

 private:
  Monitor(OwnedWord* word, Member* self, bool took_over) : word_(word), self_(self), took_over_(took_over) {}
  OwnedWord* word_;
  Member* self_;
  bool took_over_;
};

}  // namespace brood::internal

#endif  // BROOD_IPC_MONITOR_H_
