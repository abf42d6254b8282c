#include "launcher/join_at_end.h"

#include <poll.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <set>

#include "base/fork_generation.h"
#include "bootstrap/finalizer.h"

namespace brood::internal {
namespace {

constexpr int kPriority = -100;

struct Children {
  const uint64_t owner = ForkGeneration();
  std::mutex mutex;
  std::set<int> sentinels;
  bool has_finalizer = false;
};

std::atomic<Children*> g_children = nullptr;

// One for each process: a fork has no children yet, and its copy of the lock may be held by a thread that it lacks, so
// its parent's is left alone for good.
Children& Mine() {
  Children* children = g_children.load();
  while (children == nullptr || children->owner != ForkGeneration()) {
    auto* fresh = new Children;
    if (g_children.compare_exchange_strong(children, fresh)) return *fresh;
    delete fresh;
  }
  return *children;
}

void JoinAll() {
  Children& mine = Mine();
  std::set<int> left;
  {
    const std::lock_guard<std::mutex> lock(mine.mutex);
    left = mine.sentinels;
    mine.has_finalizer = false;  // A finalizer that runs later may start children too.
  }
  for (int sentinel : left) {
    pollfd wait = {sentinel, POLLIN, 0};
    while (poll(&wait, 1, -1) < 0 && errno == EINTR) {
    }
  }
}

}  // namespace

void BeginJoin(int sentinel) {
  Children& mine = Mine();
  const std::lock_guard<std::mutex> lock(mine.mutex);
  mine.sentinels.insert(sentinel);
  if (!mine.has_finalizer) AddFinalizer(JoinAll, {.priority = kPriority});
  mine.has_finalizer = true;
}

void EndJoin(int sentinel) {
  Children& mine = Mine();
  const std::lock_guard<std::mutex> lock(mine.mutex);
  mine.sentinels.erase(sentinel);
}

}  // namespace brood::internal
