#include "bootstrap/after_fork.h"

#include <atomic>

#include "bootstrap/error_report.h"
#include "bootstrap/throw_site.h"

namespace brood {
namespace {

// A list that is only added to, at its end, and so can be walked at any time.
struct Hook {
  void (*run)(void* arg) = nullptr;
  void* arg = nullptr;
  std::atomic<Hook*> next = nullptr;
};

std::atomic<Hook*> g_first = nullptr;

}  // namespace

void AfterFork(void (*hook)()) {
  AfterFork([](void* plain) { reinterpret_cast<void (*)()>(plain)(); }, reinterpret_cast<void*>(hook));
}

void AfterFork(void (*hook)(void* arg), void* arg) {
  auto* const added = new Hook{.run = hook, .arg = arg};
  std::atomic<Hook*>* end = &g_first;
  for (Hook* at = nullptr; !end->compare_exchange_strong(at, added); at = nullptr) end = &at->next;
}

bool internal::HasHooksAfterFork() { return g_first != nullptr; }

void internal::RunAfterFork() {
  for (const Hook* hook = g_first; hook != nullptr; hook = hook->next) {
    ThrowSite site;
    try {
      Watch([hook] { hook->run(hook->arg); }, &site);
    } catch (...) {
      PrintError("hook after fork", CurrentException(site));
    }
  }
}

}  // namespace brood
