#include "launcher/children.h"

#include <mutex>

#include "absl/time/time.h"
#include "base/per_process.h"
#include "base/signals.h"
#include "bootstrap/exit.h"
#include "ipc/deadline.h"
#include "launcher/process_state.h"

namespace brood {
namespace internal {
namespace {

constexpr absl::Duration kDaemonGrace = absl::Seconds(5);

struct Children {
  std::mutex mutex;  // Guards what follows.
  uint32_t numbers = 0;
  std::vector<std::weak_ptr<ProcessState>> states;
};

Children& Mine() {
  static PerProcess<Children> one;
  return one.Get();
}

// Those that are still running; forgets the others.
std::vector<std::shared_ptr<ProcessState>> Running() {
  Children& mine = Mine();
  std::vector<std::shared_ptr<ProcessState>> all;
  {
    const std::lock_guard<std::mutex> lock(mine.mutex);
    for (const std::weak_ptr<ProcessState>& state : mine.states) {
      if (std::shared_ptr<ProcessState> child = state.lock()) all.push_back(std::move(child));
    }
  }
  std::vector<std::shared_ptr<ProcessState>> running;
  for (const std::shared_ptr<ProcessState>& child : all) {
    if (!HasEnded(*child, absl::ZeroDuration())) running.push_back(child);
  }
  const std::lock_guard<std::mutex> lock(mine.mutex);
  std::erase_if(mine.states, [](const std::weak_ptr<ProcessState>& state) {
    const std::shared_ptr<ProcessState> child = state.lock();
    return child == nullptr || HasEnded(*child, absl::ZeroDuration());
  });
  return running;
}

void EndChildren() {
  const std::vector<std::shared_ptr<ProcessState>> children = Running();
  for (const auto& child : children) {
    if (child->daemon) (void)SignalTarget(*child, kSignalTerminate);
  }
  const Deadline grace(kDaemonGrace);
  for (const auto& child : children) {
    if (!child->daemon || HasEnded(*child, grace.Left())) continue;
    (void)KillTree(*child);
  }
  for (const auto& child : children) HasEnded(*child, absl::InfiniteDuration());
}

}  // namespace

void NoteChild(const std::shared_ptr<ProcessState>& child) {
  Children& mine = Mine();
  const std::lock_guard<std::mutex> lock(mine.mutex);
  // An embedder may never ask for its children: a long list is cleaned when it has grown.
  if (mine.states.size() >= 64 && (mine.states.size() & (mine.states.size() - 1)) == 0) {
    std::erase_if(mine.states, [](const std::weak_ptr<ProcessState>& state) { return state.expired(); });
  }
  mine.states.push_back(child);
  SetEndOfChildren(EndChildren);
}

uint32_t NextChildNumber() {
  Children& mine = Mine();
  const std::lock_guard<std::mutex> lock(mine.mutex);
  return ++mine.numbers;
}

}  // namespace internal

std::vector<ChildInfo> ActiveChildren() {
  std::vector<ChildInfo> result;
  for (const auto& child : internal::Running()) {
    result.push_back({.name = child->name, .pid = internal::PidOf(*child), .daemon = child->daemon});
  }
  return result;
}

}  // namespace brood
