#include "ipc/condition.h"

#include <atomic>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/futex.h"

namespace brood {
namespace internal {

// One for each thread that waits. Written with the lock held, except that its owner may free it at any time.
struct Waiter {
  std::atomic<uint64_t> id;  // Whose it is; 0: free. Stored last, cleared first.
  std::atomic<uint64_t> ticket;
  std::atomic<uint32_t> notified;  // What it sleeps on.
};

struct ConditionMemory {
  std::atomic<uint64_t> last_ticket;
  Waiter waiters[Condition::kMaxWaiters];
};

}  // namespace internal

using internal::ConditionMemory;
using internal::Region;
using internal::RegionKind;
using internal::Waiter;

absl::StatusOr<Condition> Condition::CreateOver(AnyLock lock) {
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region,
                         Region::Create(RegionKind::kCondition, {}, sizeof(ConditionMemory)));
  auto* memory = region->PayloadAs<ConditionMemory>();
  return Condition(std::move(region), memory, std::move(lock));
}

absl::StatusOr<Condition> Condition::Create() {
  BROOD_ASSIGN_OR_RETURN(RLock lock, RLock::Create());
  return CreateOver(std::move(lock));
}

absl::StatusOr<Condition> Condition::Create(Lock lock) {
  BROOD_RETURN_IF_ERROR(lock.IsHeld().status());  // An empty one is refused here.
  return CreateOver(std::move(lock));
}

absl::StatusOr<Condition> Condition::Create(RLock lock) {
  BROOD_RETURN_IF_ERROR(lock.IsHeld().status());
  return CreateOver(std::move(lock));
}

absl::StatusOr<Condition> Condition::FromParts(UniqueFd fd, AnyLock lock) {
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Region> region, Region::Attach(std::move(fd), RegionKind::kCondition));
  BROOD_ASSIGN_OR_RETURN(auto* memory, internal::CheckedPayload<ConditionMemory>(*region));
  return Condition(std::move(region), memory, std::move(lock));
}

absl::Status Condition::Acquire(absl::Duration timeout) const {
  if (region_ == nullptr) return internal::NoRegion("condition");
  return std::visit([&](const auto& lock) { return lock.Acquire(timeout); }, lock_);
}

absl::Status Condition::Release() const {
  if (region_ == nullptr) return internal::NoRegion("condition");
  return std::visit([](const auto& lock) { return lock.Release(); }, lock_);
}

absl::Status Condition::Recover() const {
  if (region_ == nullptr) return internal::NoRegion("condition");
  return std::visit([](const auto& lock) { return lock.Recover(); }, lock_);
}

absl::Status Condition::CheckHeld(std::string_view operation) const {
  if (region_ == nullptr) return internal::NoRegion("condition");
  BROOD_ASSIGN_OR_RETURN(const bool held, std::visit([](const auto& lock) { return lock.IsHeldHere(); }, lock_));
  if (held) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(operation, " condition: the caller does not hold its lock"));
}

namespace {

// With the lock held.
Waiter* FreeWaiter(ConditionMemory& memory) {
  for (Waiter& waiter : memory.waiters) {
    if (waiter.id.load(std::memory_order_acquire) == 0) return &waiter;
  }
  return nullptr;
}

// Frees what processes left that were killed while they waited.
absl::Status FreeWaitersOfDead(const Region& region, ConditionMemory& memory) {
  for (Waiter& waiter : memory.waiters) {
    uint64_t id = waiter.id.load(std::memory_order_acquire);
    if (id == 0) continue;
    BROOD_ASSIGN_OR_RETURN(const bool alive, region.IsAlive(id));
    if (!alive) waiter.id.compare_exchange_strong(id, 0);
  }
  return absl::OkStatus();
}

// Whoever came first of those who are not notified yet.
Waiter* Next(ConditionMemory& memory) {
  Waiter* next = nullptr;
  uint64_t least = UINT64_MAX;
  for (Waiter& waiter : memory.waiters) {
    if (waiter.id.load(std::memory_order_acquire) == 0 || waiter.notified.load(std::memory_order_relaxed) != 0)
      continue;
    const uint64_t ticket = waiter.ticket.load(std::memory_order_relaxed);
    if (next == nullptr || ticket < least) {
      next = &waiter;
      least = ticket;
    }
  }
  return next;
}

}  // namespace

absl::Status Condition::Wait(absl::Duration timeout) const {
  BROOD_RETURN_IF_ERROR(CheckHeld("wait for"));
  const internal::Deadline deadline(timeout);
  BROOD_ASSIGN_OR_RETURN(const internal::Member* self, region_->Self());
  Waiter* waiter = FreeWaiter(*memory_);
  if (waiter == nullptr) {
    BROOD_RETURN_IF_ERROR(FreeWaitersOfDead(*region_, *memory_));
    waiter = FreeWaiter(*memory_);
  }
  if (waiter == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("wait for condition: ", kMaxWaiters, " threads wait for it already"));
  }
  waiter->ticket.store(memory_->last_ticket.fetch_add(1, std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  waiter->notified.store(0, std::memory_order_relaxed);
  waiter->id.store(self->id, std::memory_order_release);

  absl::StatusOr<uint64_t> depth = std::visit([](const auto& lock) { return lock.Suspend(); }, lock_);
  if (!depth.ok()) {
    waiter->id.store(0, std::memory_order_release);
    return depth.status();
  }
  absl::Status sleep;
  for (internal::Slices slices(deadline); sleep.ok() && waiter->notified.load(std::memory_order_acquire) == 0;) {
    if (deadline.passed()) break;
    // Whoever was to notify us may have died with the lock.
    const absl::StatusOr<bool> died = std::visit([](const auto& lock) { return lock.HolderDied(); }, lock_);
    if (!died.ok() || *died) {
      waiter->id.store(0, std::memory_order_release);
      return died.ok() ? internal::HolderDiedError("lock of condition") : died.status();
    }
    sleep = internal::FutexWait(&waiter->notified, 0, slices.Next());
  }
  const absl::Status lock = std::visit([&](const auto& lock) { return lock.Resume(*depth); }, lock_);
  const bool notified = waiter->notified.load(std::memory_order_acquire) != 0;
  waiter->id.store(0, std::memory_order_release);
  if (!lock.ok()) return lock;
  if (notified) return absl::OkStatus();
  if (!sleep.ok()) return sleep;
  return absl::DeadlineExceededError("wait for condition: nobody notified it");
}

absl::Status Condition::WaitFor(const std::function<bool()>& predicate, absl::Duration timeout) const {
  BROOD_RETURN_IF_ERROR(CheckHeld("wait for"));
  const internal::Deadline deadline(timeout);
  while (!predicate()) {
    if (deadline.passed()) return absl::DeadlineExceededError("wait for condition: it did not become true");
    const absl::Status status = Wait(deadline.Left());
    if (!status.ok() && !absl::IsDeadlineExceeded(status)) return status;
  }
  return absl::OkStatus();
}

absl::Status Condition::Notify(uint32_t count) const {
  BROOD_RETURN_IF_ERROR(CheckHeld("notify"));
  // Waiters may leave meanwhile, and a hostile process may pretend that they do: not for ever.
  for (uint32_t looks = 0; count > 0 && looks < 2 * kMaxWaiters; ++looks) {
    Waiter* waiter = Next(*memory_);
    if (waiter == nullptr) return absl::OkStatus();
    uint64_t id = waiter->id.load(std::memory_order_acquire);
    if (id == 0) continue;  // It has given up just now.
    BROOD_ASSIGN_OR_RETURN(const bool alive, region_->IsAlive(id));
    if (!alive) {
      waiter->id.compare_exchange_strong(id, 0);
      continue;
    }
    waiter->notified.store(1, std::memory_order_release);
    internal::FutexWake(&waiter->notified, 1);
    --count;
  }
  return absl::OkStatus();
}

void Codec<Condition>::Encode(const Condition& value, WireWriter& to) {
  to.Number(static_cast<uint8_t>(value.lock_.index()));
  absl::StatusOr<UniqueFd> fd = value.region_ == nullptr ? absl::StatusOr<UniqueFd>(internal::NoRegion("condition"))
                                                         : value.region_->Descriptor();
  to.Handle(fd.ok() ? *std::move(fd) : UniqueFd());
  std::visit([&]<typename T>(const T& lock) { Codec<T>::Encode(lock, to); }, value.lock_);
}

bool Codec<Condition>::Decode(WireReader& from, Condition& value) {
  uint8_t index = 0;
  UniqueFd fd;
  if (!from.Number(index) || !from.Handle(fd)) return false;
  RLock rlock;
  Lock lock;
  if (index > 1) return from.Fail("has an unknown kind of lock");
  if (index == 0 ? !Codec<RLock>::Decode(from, rlock) : !Codec<Lock>::Decode(from, lock)) return false;
  absl::StatusOr<Condition> condition = Condition::FromParts(
      std::move(fd), index == 0 ? Condition::AnyLock(std::move(rlock)) : Condition::AnyLock(std::move(lock)));
  if (!condition.ok()) return from.Fail(absl::StrCat("cannot be used: ", condition.status().message()));
  value = *std::move(condition);
  return true;
}

}  // namespace brood
