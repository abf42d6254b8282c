// Sleeping, outside a Monitor, until somebody inside it has changed something.
//
//   const uint32_t seen = turn.Prepare();            // Inside: we found nothing to do.
//   monitor.Leave();
//   turn.Sleep(seen, slices);                        // Then enter and look again.
//
//   const bool wake = turn.Advance();                // Inside: something has come.
//   monitor.Leave();
//   if (wake) turn.Wake(1);
#ifndef BROOD_IPC_TURN_H_
#define BROOD_IPC_TURN_H_

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "ipc/futex.h"

namespace brood::internal {

class Turn {
 public:
  uint32_t Prepare() {
    sleepers_.fetch_add(1, std::memory_order_relaxed);
    return count_.load(std::memory_order_relaxed);
  }
  absl::Status Sleep(uint32_t seen, Slices& slices) {
    const absl::Status status = FutexWait(&count_, seen, slices.Next());
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
    return status;
  }

  // Whether somebody may sleep.
  bool Advance() {
    count_.fetch_add(1, std::memory_order_release);
    return sleepers_.load(std::memory_order_relaxed) != 0;
  }
  void Wake(int count) { FutexWake(&count_, count); }

 private:
  std::atomic<uint32_t> count_;
  std::atomic<uint32_t> sleepers_;  // Too many if some were killed: that costs a wake, no more.
};

}  // namespace brood::internal

#endif  // BROOD_IPC_TURN_H_
