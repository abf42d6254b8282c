// What Value and Array have in common: elements of one size behind a lock. Not for users.
#ifndef BROOD_IPC_VALUE_MEMORY_H_
#define BROOD_IPC_VALUE_MEMORY_H_

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "ipc/region.h"
#include "ipc/rlock.h"

namespace brood {

// What a shared value can be: bytes that mean the same in every process. No pointers, which the compiler cannot see
// inside a struct; and no bool by itself, since another process may store what is neither true nor false.
template <typename T>
concept Shareable = std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T> && !std::is_pointer_v<T> &&
                    !std::is_member_pointer_v<T> && !std::same_as<T, bool> && alignof(T) <= 64;

// Those that the machine reads and writes as one, without a lock.
template <typename T>
concept AtomicShareable = Shareable<T> &&
                          (std::integral<T> || std::floating_point<T> || std::is_enum_v<T>)&&sizeof(T) <= 8;

namespace internal {

class ValueMemory {
 public:
  static absl::StatusOr<ValueMemory> Create(RegionKind kind, size_t element_bytes, size_t count);

  // Errors besides Region's: InvalidArgument (elements of another size, or a damaged count).
  static absl::StatusOr<ValueMemory> Attach(UniqueFd fd, RegionKind kind, size_t element_bytes);

  const RLock& lock() const { return lock_; }
  std::byte* at(size_t index) const { return first_ + index * element_bytes_; }
  size_t count() const { return count_; }
  bool empty() const { return region_ == nullptr; }
  absl::StatusOr<UniqueFd> Descriptor() const;

  ValueMemory() = default;

 private:
  static absl::StatusOr<ValueMemory> Over(std::shared_ptr<Region> region);

  std::shared_ptr<Region> region_;
  RLock lock_;
  std::byte* first_ = nullptr;
  size_t element_bytes_ = 0;
  size_t count_ = 0;
};

template <AtomicShareable T>
std::atomic_ref<T> AtomicAt(std::byte* place) {
  static_assert(std::atomic_ref<T>::is_always_lock_free);
  return std::atomic_ref<T>(*reinterpret_cast<T*>(place));
}

// Numbers as one, so that operations without the lock never see half of one; structs under the lock.
template <Shareable T>
T ReadElement(std::byte* place) {
  T value{};
  if constexpr (AtomicShareable<T>) {
    value = AtomicAt<T>(place).load();
  } else {
    std::memcpy(&value, place, sizeof(T));
  }
  return value;
}
template <Shareable T>
void WriteElement(std::byte* place, const T& value) {
  if constexpr (AtomicShareable<T>) {
    AtomicAt<T>(place).store(value);
  } else {
    std::memcpy(place, &value, sizeof(T));
  }
}

}  // namespace internal
}  // namespace brood

#endif  // BROOD_IPC_VALUE_MEMORY_H_
