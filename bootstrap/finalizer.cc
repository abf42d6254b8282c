#include "bootstrap/finalizer.h"

#include <atomic>
#include <map>
#include <mutex>
#include <utility>

#include "base/fork_generation.h"
#include "bootstrap/error_report.h"
#include "bootstrap/throw_site.h"

namespace brood {
namespace {

struct Entry {
  int priority = 0;
  uint64_t owner = 0;
  std::function<void()> callback;
};

struct Registry {
  std::mutex mutex;
  FinalizerId next = 1;
  std::map<FinalizerId, Entry> entries;
};

// Never freed: finalizers may be added from any static destructor.
std::atomic<Registry*> g_registry = nullptr;

Registry& Current() {
  Registry* registry = g_registry.load();
  if (registry != nullptr) return *registry;
  auto* fresh = new Registry;
  if (g_registry.compare_exchange_strong(registry, fresh)) return *fresh;
  delete fresh;
  return *registry;
}

// Takes an entry out, so that it runs at most once whoever asks.
std::function<void()> Take(FinalizerId id) {
  Registry& registry = Current();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  const auto found = registry.entries.find(id);
  if (found == registry.entries.end()) return nullptr;
  const bool own = found->second.owner == ForkGeneration();
  std::function<void()> callback = std::move(found->second.callback);
  registry.entries.erase(found);
  return own ? std::move(callback) : nullptr;
}

FinalizerId Next(int min_priority) {
  Registry& registry = Current();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  FinalizerId best = 0;
  int priority = 0;
  // Ascending ids: of equal priorities the last one seen is the newest.
  for (const auto& [id, entry] : registry.entries) {
    if (entry.priority < min_priority) continue;
    if (best == 0 || entry.priority >= priority) {
      best = id;
      priority = entry.priority;
    }
  }
  return best;
}

}  // namespace

FinalizerId AddFinalizer(std::function<void()> callback, FinalizerOptions options) {
  Registry& registry = Current();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  const FinalizerId id = registry.next++;
  registry.entries[id] = {.priority = options.priority, .owner = ForkGeneration(), .callback = std::move(callback)};
  return id;
}

bool RunFinalizer(FinalizerId id) {
  const std::function<void()> callback = Take(id);
  if (callback == nullptr) return false;
  callback();
  return true;
}

bool CancelFinalizer(FinalizerId id) { return Take(id) != nullptr; }

bool FinalizerIsActive(FinalizerId id) {
  Registry& registry = Current();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  const auto found = registry.entries.find(id);
  return found != registry.entries.end() && found->second.owner == ForkGeneration();
}

namespace internal {

void RunFinalizers(int min_priority) {
  if (g_registry.load() == nullptr) return;
  for (FinalizerId id = Next(min_priority); id != 0; id = Next(min_priority)) {
    const std::function<void()> callback = Take(id);
    if (callback == nullptr) continue;
    ThrowSite site;
    try {
      Watch(callback, &site);
    } catch (...) {
      PrintError("finalizer", CurrentException(site));
    }
  }
}

void* SharedFinalizers() { return &Current(); }

void UseFinalizers(void* shared) {
  auto* const theirs = static_cast<Registry*>(shared);
  Registry* const own = g_registry.exchange(theirs);
  if (own == nullptr || own == theirs) return;
  const std::lock_guard<std::mutex> lock(theirs->mutex);
  for (auto& [id, entry] : own->entries) theirs->entries[theirs->next++] = std::move(entry);
}

bool HasFinalizers() { return g_registry.load() != nullptr; }

void ForgetFinalizers() {
  if (g_registry.load() != nullptr) g_registry.store(nullptr);  // What is not written costs a forked child no page.
}

}  // namespace internal
}  // namespace brood
