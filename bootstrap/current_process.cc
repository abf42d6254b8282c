#include "bootstrap/current_process.h"

#include <atomic>

namespace brood {
namespace {

struct Known {
  ProcessIdentity identity;
  std::optional<Parent> parent;
};

// Never freed: static destructors may ask.
std::atomic<const Known*> g_known = nullptr;

const Known& Get() {
  static const auto* const main = new Known;
  const Known* known = g_known.load(std::memory_order_acquire);
  return known != nullptr ? *known : *main;
}

}  // namespace

const ProcessIdentity& CurrentProcess() { return Get().identity; }

const Parent* ParentProcess() {
  const Known& known = Get();
  return known.parent.has_value() ? &*known.parent : nullptr;
}

namespace internal {

void SetCurrentProcess(const PreparationData& preparation, const ProcessData& process, int sentinel) {
  auto* known = new Known;
  known->identity = {.name = preparation.name,
                     .numbers = preparation.identity,
                     .daemon = process.daemon,
                     .start_method = preparation.start_method};
  if (sentinel >= 0) known->parent.emplace(preparation.parent_name, preparation.parent_pid, sentinel);
  g_known.store(known, std::memory_order_release);
}

const void* SharedProcessFacts() { return &Get(); }
void UseProcessFacts(const void* shared) { g_known.store(static_cast<const Known*>(shared), std::memory_order_release); }

}  // namespace internal
}  // namespace brood
