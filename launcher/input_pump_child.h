// Passes on to a child what it reads: through a pipe of its own, or typed into its own terminal. Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_INPUT_PUMP_CHILD_H_
#define BROOD_LAUNCHER_INPUT_PUMP_CHILD_H_

#include <poll.h>

#include <cstddef>
#include <cstdint>

#include "launcher/launch_record.h"

namespace brood::child {

// One of a process, since its buffer is static.
class InputPump {
 public:
  explicit InputPump(InputRecord* record) : record_(*record) {}

  // What to wait for; with a negative descriptor nothing. poll(2) ignores that.
  pollfd Poll() const;

  // Moves what can be moved without blocking, after poll(2).
  void Move(const pollfd& polled, uint64_t now);

  // When to call OnTime; UINT64_MAX: never.
  uint64_t next() const { return next_; }
  void OnTime(uint64_t now);

  // The child reads no more of it. Of a terminal it hangs up, if nobody else has its other side.
  void Close();

 private:
  void EndSource(uint64_t now);

  InputRecord& record_;
  size_t begin_ = 0;
  size_t end_ = 0;
  uint64_t next_ = UINT64_MAX;
  uint64_t pause_ns_ = 0;
};

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_INPUT_PUMP_CHILD_H_
