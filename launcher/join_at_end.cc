#include "launcher/join_at_end.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <set>

#include "bootstrap/finalizer.h"

namespace brood::internal {
namespace {

constexpr int kPriority = -100;

struct Children {
  std::mutex mutex;
  std::set<int> sentinels;
  bool has_finalizer = false;
};

// One for each process: a fork has no children yet, and its copy of the lock may be held by a thread that it lacks.
Children& Mine() {
  static Children* children = new Children;
  static pid_t owner = getpid();
  if (owner != getpid()) {
    children = new Children;  // The parent's is left alone: its lock may be held.
    owner = getpid();
  }
  return *children;
}

void JoinAll() {
  std::set<int> left;
  {
    const std::lock_guard<std::mutex> lock(Mine().mutex);
    left = Mine().sentinels;
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
