// One value that several processes share, with a lock.
//
//   BROOD_ASSIGN_OR_RETURN(auto counter, brood::Value<int64_t>::Create(0));
//   context.Start(Work, counter);              // void Work(const brood::Value<int64_t>& counter)
//   counter.FetchAdd(1);                       // Atomic, no lock.
//   BROOD_RETURN_IF_ERROR(counter.Update([](int64_t& n) { n *= 2; }));
//
// A handle, as Lock: copies are the same value; thread-safe. T is what can be copied as bytes; numbers and enums are
// also read and written as one, without the lock. What a process reads, another one has written: a struct may hold
// anything that its bytes can.
//
// Deaths. Get, Set and Update take the lock, and give Aborted if its holder died: the value may be half-written. Then
// lock().Recover(), Set, lock().Release(). A process that dies inside Update has changed all of a number, or nothing.
#ifndef BROOD_IPC_VALUE_H_
#define BROOD_IPC_VALUE_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "ipc/rlock.h"
#include "ipc/shared_object.h"
#include "ipc/value_memory.h"

namespace brood {

template <Shareable T>
class Value {
 public:
  Value() =
      default;  // Empty. Get, Set and Update are FailedPrecondition; the operations without a lock must not be used.

  // Errors as Lock's; InvalidArgument (the descriptor of a value of another size).
  static absl::StatusOr<Value> Create(const T& initial = T()) {
    BROOD_ASSIGN_OR_RETURN(auto memory, internal::ValueMemory::Create(internal::RegionKind::kValue, sizeof(T), 1));
    internal::WriteElement<T>(memory.at(0), initial);
    return Value(std::move(memory));
  }
  static absl::StatusOr<Value> FromDescriptor(UniqueFd fd) {
    BROOD_ASSIGN_OR_RETURN(auto memory,
                           internal::ValueMemory::Attach(std::move(fd), internal::RegionKind::kValue, sizeof(T)));
    if (memory.count() != 1) return absl::InvalidArgumentError("attach to value: it is damaged");
    return Value(std::move(memory));
  }
  absl::StatusOr<UniqueFd> Descriptor() const { return memory_.Descriptor(); }

  // With the lock, which the caller may hold already. Errors: those of RLock::Acquire.
  absl::StatusOr<T> Get() const {
    BROOD_RETURN_IF_ERROR(lock().Acquire());
    T value = internal::ReadElement<T>(memory_.at(0));
    BROOD_RETURN_IF_ERROR(lock().Release());
    return value;
  }
  absl::Status Set(const T& value) const {
    return Update([&](T& changed) { changed = value; });
  }

  // Calls `change` with a copy, and stores that when it returns. If it throws, nothing is changed.
  template <typename Change>
  absl::Status Update(Change&& change) const {
    BROOD_RETURN_IF_ERROR(lock().Acquire());
    struct Releaser {
      const RLock& lock;
      ~Releaser() { lock.Release().IgnoreError(); }  // It is held: there is nothing that could fail.
    } const releaser{lock()};
    T value = internal::ReadElement<T>(memory_.at(0));
    change(value);
    internal::WriteElement<T>(memory_.at(0), value);
    return absl::OkStatus();
  }

  // Without the lock.
  T Load() const requires AtomicShareable<T> { return internal::AtomicAt<T>(memory_.at(0)).load(); }
  void Store(T value) const requires AtomicShareable<T> { internal::AtomicAt<T>(memory_.at(0)).store(value); }
  T FetchAdd(T more) const requires(AtomicShareable<T> && !std::is_enum_v<T>) {  // What it was before.
    return internal::AtomicAt<T>(memory_.at(0)).fetch_add(more);
  }
  bool CompareExchange(T& expected, T desired) const requires AtomicShareable<T> {
    return internal::AtomicAt<T>(memory_.at(0)).compare_exchange_strong(expected, desired);
  }

  // For several operations in one go.
  const RLock& lock() const { return memory_.lock(); }

  static void DescribeTo(internal::Description& to) {
    to.Word("value<");
    to.Add<T>();
    to.Word(">");
  }

 private:
  explicit Value(internal::ValueMemory memory) : memory_(std::move(memory)) {}
  internal::ValueMemory memory_;
};

}  // namespace brood

#endif  // BROOD_IPC_VALUE_H_
