// A thing that each process has one of, for which a fork starts with a new one: the parent's lock may be held by a thread
// that the fork lacks, and what the parent has is not the fork's.
//
//   Children& Mine() {
//     static PerProcess<Children> one;
//     return one.Get();
//   }
//
// Thread-safe. Never freed, nor is the parent's touched: objects of static duration may be the last to ask.
#ifndef BROOD_BASE_PER_PROCESS_H_
#define BROOD_BASE_PER_PROCESS_H_

#include <atomic>
#include <cstdint>

#include "base/fork_generation.h"

namespace brood::internal {

template <typename T>
class PerProcess {
 public:
  T& Get() {
    Made* mine = current_.load();
    while (mine->generation != ForkGeneration()) {
      auto* fresh = new Made;
      if (current_.compare_exchange_strong(mine, fresh)) return fresh->value;
      delete fresh;
    }
    return mine->value;
  }

 private:
  struct Made {
    const uint64_t generation = ForkGeneration();
    T value;
  };
  std::atomic<Made*> current_ = new Made;
};

}  // namespace brood::internal

#endif  // BROOD_BASE_PER_PROCESS_H_
