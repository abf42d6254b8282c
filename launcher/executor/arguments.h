// The arguments of a call as they travel to a worker. Not for users.
#ifndef BROOD_LAUNCHER_EXECUTOR_ARGUMENTS_H_
#define BROOD_LAUNCHER_EXECUTOR_ARGUMENTS_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "bootstrap/target.h"
#include "serialization/codec.h"
#include "serialization/wire.h"

namespace brood {

namespace internal {

// Writes the arguments of one call as they travel: their size, then each without its type.
template <typename... Parameters, typename... Arguments>
void WriteArguments(WireWriter& to, void (*)(Parameters...), Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "the target takes another number of arguments");
  if constexpr (sizeof...(Parameters) == sizeof...(Arguments)) {
    static_assert((std::convertible_to<Arguments&&, const Storage<Parameters>&> && ...),
                  "an argument does not convert to the target's parameter");
    const size_t begin = to.size();
    to.Number(uint32_t{0});
    const auto write = [&to]<typename T>(std::type_identity<T>, const std::type_identity_t<T>& value) {
      Codec<T>::Encode(value, to);
    };
    (write(std::type_identity<Storage<Parameters>>(), std::forward<Arguments>(arguments)), ...);
    // Cut if it is too large: such are refused before they are sent.
    to.Overwrite(begin, static_cast<uint32_t>(to.size() - begin - sizeof(uint32_t)));
  }
}

}  // namespace internal

}  // namespace brood

#endif  // BROOD_LAUNCHER_EXECUTOR_ARGUMENTS_H_
