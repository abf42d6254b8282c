#include "bootstrap/current_process.h"

#include <poll.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "absl/strings/str_cat.h"

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

bool Parent::IsAlive() const { return !Join(absl::ZeroDuration()).ok(); }

absl::Status Parent::Join(absl::Duration timeout) const {
  const absl::Time deadline = absl::Now() + timeout;
  for (;;) {
    timespec wait{};
    const timespec* limit = nullptr;
    if (deadline != absl::InfiniteFuture()) {
      wait = absl::ToTimespec(std::max(deadline - absl::Now(), absl::ZeroDuration()));
      limit = &wait;
    }
    // The parent's side writes nothing after the start, so whatever happens here is its end.
    pollfd polls = {sentinel_, POLLIN, 0};
    const int ready = ppoll(&polls, 1, limit, nullptr);
    if (ready > 0) return absl::OkStatus();
    if (ready == 0 && absl::Now() >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat("join parent ", name_, ": still running"));
    }
    if (ready < 0 && errno != EINTR) return absl::ErrnoToStatus(errno, "poll the parent's sentinel");
  }
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

}  // namespace internal
}  // namespace brood
