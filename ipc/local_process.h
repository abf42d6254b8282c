// What this process knows of itself: which shared regions it has mapped, and whether it is still the process that
// mapped them.
//
// A fork copies every object of this library, and the copy must not act as its parent: it holds none of its parent's
// locks. So a forked child gets a record of its own (base/fork_generation.h), empty, with a mutex that no thread of its
// parent's can have held at the fork.
#ifndef BROOD_IPC_LOCAL_PROCESS_H_
#define BROOD_IPC_LOCAL_PROCESS_H_

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

namespace brood::internal {

class Region;

// Which memory a region is: the same in each process.
struct RegionKey {
  uint64_t device = 0;
  uint64_t inode = 0;                // Those of memory files repeat after 2^32 files and pipes; hence:
  std::array<uint64_t, 2> random{};  // From the region's header.
  bool read_only = false;
  auto operator<=>(const RegionKey&) const = default;
};

class LocalProcess {
 public:
  // The record of this process; made when a process first asks.
  static LocalProcess& Get();

  // Null in a process that has not asked yet. No system call.
  static LocalProcess* Peek();

  std::mutex mutex;
  std::map<RegionKey, std::weak_ptr<Region>> regions;  // Guarded by mutex.

 private:
  uint64_t generation_ = 0;
  LocalProcess* previous_ = nullptr;  // The parent's, so that it stays reachable. Never freed: objects refer to it.
};

// A number for the calling thread that no other thread of this process ever has.
uint64_t ThisThread();

}  // namespace brood::internal

#endif  // BROOD_IPC_LOCAL_PROCESS_H_
