// A moment until which something may wait, on a clock that nobody sets.
#ifndef BROOD_IPC_DEADLINE_H_
#define BROOD_IPC_DEADLINE_H_

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace brood::internal {

class Deadline {
 public:
  // `timeout` from now; a negative one is over at once, an infinite one never.
  explicit Deadline(absl::Duration timeout)
      : at_(timeout == absl::InfiniteDuration() ? timeout : Now() + std::max(timeout, absl::ZeroDuration())) {}

  bool infinite() const { return at_ == absl::InfiniteDuration(); }
  // Never negative.
  absl::Duration Left() const { return infinite() ? at_ : std::max(at_ - Now(), absl::ZeroDuration()); }
  bool passed() const { return Left() == absl::ZeroDuration(); }

  // What is left, as ppoll(2) and its like take it: null for ever.
  class Timespec {
   public:
    explicit Timespec(absl::Duration left) {
      // The kernel refuses what does not fit; 68 years are for ever.
      constexpr absl::Duration kLongest = absl::Seconds(int64_t{1} << 31);
      if (left < kLongest) value_ = absl::ToTimespec(left);
    }
    const timespec* get() const { return value_.has_value() ? &*value_ : nullptr; }

   private:
    std::optional<timespec> value_;
  };
  Timespec ToTimespec() const { return Timespec(Left()); }

  friend bool operator<(const Deadline& a, const Deadline& b) { return a.at_ < b.at_; }

 private:
  static absl::Duration Now() {
    return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  }

  absl::Duration at_;
};

}  // namespace brood::internal

#endif  // BROOD_IPC_DEADLINE_H_
