// For tests: which descriptors are open here.
#ifndef BROOD_IPC_DESCRIPTOR_LEAKS_H_
#define BROOD_IPC_DESCRIPTOR_LEAKS_H_

#include <set>

#include "gtest/gtest.h"

namespace brood {

// On Windows: handles but those of locks, of which winpthreads makes one when a lock is first contended, and keeps it. Files,
// pipes, processes, threads and jobs are what brood could leave.
std::set<int> OpenDescriptors();

// Fails the test if more or other descriptors are open at the end of its scope than at the beginning.
class NoDescriptorLeaks {
 public:
  NoDescriptorLeaks() = default;
  NoDescriptorLeaks(const NoDescriptorLeaks&) = delete;
  NoDescriptorLeaks& operator=(const NoDescriptorLeaks&) = delete;
  ~NoDescriptorLeaks() { EXPECT_EQ(OpenDescriptors(), before_); }

 private:
  const std::set<int> before_ = OpenDescriptors();
};

}  // namespace brood

#endif  // BROOD_IPC_DESCRIPTOR_LEAKS_H_
