// How the objects of this folder travel: as one descriptor of their region.
//
// A type that has Descriptor(), FromDescriptor() and DescribeTo() can be an argument of a target, a field of a struct
// that is one, and a message of a Connection:
//
//   void Count(brood::Lock lock, const brood::Value<int>& counter);
//   context.Call(Count, lock, counter);
//
// A handle that is empty, or whose descriptor cannot be made, is found when the value is sent.
#ifndef BROOD_IPC_SHARED_OBJECT_H_
#define BROOD_IPC_SHARED_OBJECT_H_

#include <concepts>
#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "serialization/codec.h"

namespace brood {
namespace internal {

template <typename T>
concept SharedObject = requires(const T& object, UniqueFd fd, Description& description) {
  { object.Descriptor() } -> std::same_as<absl::StatusOr<UniqueFd>>;
  { T::FromDescriptor(std::move(fd)) } -> std::same_as<absl::StatusOr<T>>;
  T::DescribeTo(description);
};

}  // namespace internal

template <internal::SharedObject T>
struct Codec<T> {
  static constexpr size_t kMinBytes = Codec<UniqueFd>::kMinBytes;
  static void Describe(internal::Description& to) { T::DescribeTo(to); }
  static void Encode(const T& value, WireWriter& to) {
    absl::StatusOr<UniqueFd> fd = value.Descriptor();
    to.Handle(fd.ok() ? *std::move(fd) : UniqueFd());
  }
  static bool Decode(WireReader& from, T& value) {
    UniqueFd fd;
    if (!from.Handle(fd)) return false;
    absl::StatusOr<T> object = T::FromDescriptor(std::move(fd));
    if (!object.ok()) return from.Fail(absl::StrCat("cannot be used: ", object.status().message()));
    value = *std::move(object);
    return true;
  }
};

}  // namespace brood

#endif  // BROOD_IPC_SHARED_OBJECT_H_
