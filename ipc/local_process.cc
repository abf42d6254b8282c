#include "ipc/local_process.h"

#include <atomic>

#include "base/fork_generation.h"

namespace brood::internal {
namespace {

std::atomic<LocalProcess*> g_newest{nullptr};

}  // namespace

LocalProcess* LocalProcess::Peek() {
  LocalProcess* process = g_newest.load(std::memory_order_acquire);
  return process != nullptr && process->generation_ == ForkGeneration() ? process : nullptr;
}

LocalProcess& LocalProcess::Get() {
  LocalProcess* newest = g_newest.load(std::memory_order_acquire);
  const uint64_t generation = ForkGeneration();
  if (newest != nullptr && newest->generation_ == generation) return *newest;
  auto* fresh = new LocalProcess;
  fresh->generation_ = generation;
  fresh->previous_ = newest;
  if (g_newest.compare_exchange_strong(newest, fresh, std::memory_order_acq_rel)) return *fresh;
  delete fresh;  // Another thread of this process was first.
  return *newest;
}

uint64_t ThisThread() {
  // Not an address of something of the thread's: a later thread may have the same.
  static std::atomic<uint64_t> next{0};
  thread_local const uint64_t kThis = next.fetch_add(1, std::memory_order_relaxed) + 1;
  return kThis;
}

}  // namespace brood::internal
