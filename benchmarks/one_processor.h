#ifndef BROOD_BENCHMARKS_ONE_PROCESSOR_H_
#define BROOD_BENCHMARKS_ONE_PROCESSOR_H_

#include <sched.h>

#include <algorithm>

namespace brood {

// This process, and what it starts, while it exists: what is measured is not how long another processor takes to wake up.
class OneProcessor {
 public:
  OneProcessor() {
    sched_getaffinity(0, sizeof(before_), &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(std::max(sched_getcpu(), 0), &one);
    sched_setaffinity(0, sizeof(one), &one);
  }
  ~OneProcessor() { sched_setaffinity(0, sizeof(before_), &before_); }
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;

 private:
  cpu_set_t before_;
};

}  // namespace brood

#endif  // BROOD_BENCHMARKS_ONE_PROCESSOR_H_
