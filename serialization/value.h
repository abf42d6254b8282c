// Values that carry their type: arguments and results between processes.
//
//   const TypedValue value = Pack(std::vector<int>{1, 2});        // {"vector<int32>", ...}
//   Unpack<std::string>(value).status();                          // "expected string, got vector<int32>"
#ifndef BROOD_SERIALIZATION_VALUE_H_
#define BROOD_SERIALIZATION_VALUE_H_

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "serialization/codec.h"

namespace brood {

struct TypedValue {
  std::string type;     // As TypeName says it.
  std::string bytes;    // As EncodeValue writes them.
  WireHandles handles;  // The descriptors that the bytes refer to. Empty for most.
};

template <typename T>
TypedValue Pack(const T& value) {
  WireWriter writer;
  Codec<T>::Encode(value, writer);
  return {.type = TypeName<T>(), .bytes = writer.Take(), .handles = writer.TakeHandles()};
}

// Errors: InvalidArgument (the value is of another type), DataLoss (its bytes are not of its type).
template <typename T>
absl::Status UnpackInto(const TypedValue& from, T& value) {
  const std::string expected = TypeName<T>();
  if (from.type != expected) {
    return absl::InvalidArgumentError(absl::StrCat("expected ", expected, ", got ", from.type));
  }
  return DecodeInto(from.bytes, value, &from.handles);
}

template <typename T>
requires(!internal::kIsStatus<T>) absl::StatusOr<T> Unpack(const TypedValue& from) {
  T value{};
  if (absl::Status status = UnpackInto(from, value); !status.ok()) return status;
  return value;
}

// All arguments of a function, in order. Errors as Unpack, saying which argument: "argument 2: expected ...".
template <typename... Ts>
absl::Status UnpackAll(const std::vector<TypedValue>& from, std::tuple<Ts...>& values) {
  if (from.size() != sizeof...(Ts)) {
    return absl::InvalidArgumentError(absl::StrCat("expected ", sizeof...(Ts), sizeof...(Ts) == 1 ? " argument" : " arguments", ", got ", from.size()));
  }
  absl::Status error;
  size_t index = 0;
  [[maybe_unused]] const auto unpack_next = [&](auto& value) {
    error = UnpackInto(from[index], value);
    ++index;
    return error.ok();
  };
  std::apply([&](Ts&... value) { (void)(unpack_next(value) && ...); }, values);
  if (error.ok()) return error;  // A child that was just forked faults on each page of code that it could do without.
  return Annotate(error, absl::StrCat("argument ", index));
}

}  // namespace brood

#endif  // BROOD_SERIALIZATION_VALUE_H_
