#include "bootstrap/current_process.h"

#include <atomic>
#include <cstdint>
#include <new>
#include <utility>

#include "base/among_data.h"

namespace brood {
namespace {

struct Known {
  ProcessIdentity identity;
  std::optional<Parent> parent;
};

// Never freed: static destructors may ask.
constinit AmongData<std::atomic<const Known*>> g_known;

// For what is set first, so that a child that allocates nothing itself writes to no page of the heap. Not zero, so that it lies
// among the data, near what each child writes anyway.
struct {
  uint64_t taken = 2;  // 1: it is.
  alignas(Known) char bytes[sizeof(Known)] = {};
} g_first;

const Known& Get() {
  static const auto* const main = new Known;
  const Known* known = g_known.value.load(std::memory_order_acquire);
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
  auto* const known = std::exchange(g_first.taken, 1) != 1 ? new (g_first.bytes) Known : new Known;
  known->identity = {.name = preparation.name,
                     .numbers = preparation.identity,
                     .daemon = process.daemon,
                     .start_method = preparation.start_method};
  if (sentinel >= 0) known->parent.emplace(preparation.parent_name, preparation.parent_pid, sentinel);
  g_known.value.store(known, std::memory_order_release);
}

const void* SharedProcessFacts() { return &Get(); }
void UseProcessFacts(const void* shared) { g_known.value.store(static_cast<const Known*>(shared), std::memory_order_release); }

}  // namespace internal
}  // namespace brood
