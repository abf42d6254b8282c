// A fixed number of values that several processes share, with one lock for all.
//
//   BROOD_ASSIGN_OR_RETURN(auto array, brood::Array<double>::Create(1000));
//   context.Start(Fill, array, 0, 500);
//   BROOD_RETURN_IF_ERROR(array.Set(3, 1.5));
//
// As Value (value.h), for each element. An index beyond the end is OutOfRange, or nullopt where no status is given.
#ifndef BROOD_IPC_ARRAY_H_
#define BROOD_IPC_ARRAY_H_

#include <optional>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "ipc/rlock.h"
#include "ipc/shared_object.h"
#include "ipc/value_memory.h"

namespace brood {

template <Shareable T>
class Array {
 public:
  Array() = default;  // Empty: of size 0.

  // `count` elements of zero bytes; of 0 elements if that is asked for. Errors as Value's, ResourceExhausted (too
  // large).
  static absl::StatusOr<Array> Create(size_t count) {
    BROOD_ASSIGN_OR_RETURN(auto memory, internal::ValueMemory::Create(internal::RegionKind::kArray, sizeof(T), count));
    return Array(std::move(memory));
  }
  static absl::StatusOr<Array> FromDescriptor(UniqueFd fd) {
    BROOD_ASSIGN_OR_RETURN(auto memory,
                           internal::ValueMemory::Attach(std::move(fd), internal::RegionKind::kArray, sizeof(T)));
    return Array(std::move(memory));
  }
  absl::StatusOr<UniqueFd> Descriptor() const { return memory_.Descriptor(); }

  size_t size() const { return memory_.count(); }

  // With the lock. Errors: OutOfRange, and those of RLock::Acquire.
  absl::StatusOr<T> Get(size_t index) const {
    BROOD_RETURN_IF_ERROR(CheckIndex(index));
    BROOD_RETURN_IF_ERROR(lock().Acquire());
    const T value = internal::ReadElement<T>(memory_.at(index));
    BROOD_RETURN_IF_ERROR(lock().Release());
    return value;
  }
  absl::Status Set(size_t index, const T& value) const {
    BROOD_RETURN_IF_ERROR(CheckIndex(index));
    BROOD_RETURN_IF_ERROR(lock().Acquire());
    internal::WriteElement<T>(memory_.at(index), value);
    return lock().Release();
  }

  // Without the lock.
  std::optional<T> Load(size_t index) const requires AtomicShareable<T> {
    if (index >= size()) return std::nullopt;
    return internal::AtomicAt<T>(memory_.at(index)).load();
  }
  bool Store(size_t index, T value) const requires AtomicShareable<T> {  // False: no such element.
    if (index >= size()) return false;
    internal::AtomicAt<T>(memory_.at(index)).store(value);
    return true;
  }

  // All of them, for a caller that holds lock(), or whose processes use parts of their own.
  std::span<T> elements() const { return {reinterpret_cast<T*>(memory_.at(0)), size()}; }

  const RLock& lock() const { return memory_.lock(); }

  static void DescribeTo(internal::Description& to) {
    to.Word("array<");
    to.Add<T>();
    to.Word(">");
  }

 private:
  explicit Array(internal::ValueMemory memory) : memory_(std::move(memory)) {}
  absl::Status CheckIndex(size_t index) const {
    if (memory_.empty()) return internal::NoRegion("array");
    if (index < size()) return absl::OkStatus();
    return absl::OutOfRangeError(absl::StrCat("use array: element ", index, " of ", size()));
  }
  internal::ValueMemory memory_;
};

}  // namespace brood

#endif  // BROOD_IPC_ARRAY_H_
