// C++ values as bytes, with their types in words.
//
//   const std::string bytes = EncodeValue(std::map<std::string, int>{{"a", 1}});
//   TypeName<std::map<std::string, int>>();                            // "map<string,int32>"
//   BROOD_ASSIGN_OR_RETURN(auto value, (DecodeValue<std::map<std::string, int>>(bytes)));
//
// Supported: bool, char, integers, float and double, enums with a fixed type, std::string, vector, deque, list, array,
// the maps and sets of the library and of Abseil (whose keys are unique), optional and unique_ptr (which travel alike),
// pair, tuple, variant, monostate, absl::Status, StatusOr, Duration, Time, UniqueFd, and structs declared with
// BROOD_FIELDS. Anything else does not compile, and says so.
//
// What stays off the wire: other pointers, references. A UniqueFd, and what owns one, travels beside the bytes (value.h and
// wire.h). A type is identified by its shape: two peers must
// agree on TypeName before bytes are decoded (value.h does that), then decoding checks bounds, counts, depth and every
// value that a type cannot hold. Functions may be called from any thread.
#ifndef BROOD_SERIALIZATION_CODEC_H_
#define BROOD_SERIALIZATION_CODEC_H_

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "serialization/fields.h"
#include "serialization/wire.h"

namespace brood {

// How one type travels. Each specialisation has
//   static constexpr size_t kMinBytes;                       // At least 1: what bounds a count.
//   static void Describe(internal::Description& to);
//   static void Encode(const T& value, WireWriter& to);
//   static bool Decode(WireReader& from, T& value);          // False after from.Fail().
template <typename T>
struct Codec;

namespace internal {

// Collects a type's name. A struct that contains itself is written out once.
class Description {
 public:
  template <typename T>
  void Add() {
    Codec<T>::Describe(*this);
  }
  void Word(std::string_view word) { absl::StrAppend(&text_, word); }
  bool Open(std::string_view name) {
    Word(name);
    if (std::find(open_.begin(), open_.end(), name) != open_.end()) return false;
    open_.push_back(name);
    return true;
  }
  void Close() { open_.pop_back(); }
  template <typename First, typename... Rest>
  void List() {
    Add<First>();
    ((Word(","), Add<Rest>()), ...);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
  std::vector<std::string_view> open_;
};

template <typename T>
concept Integer =
    std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> && !std::same_as<T, wchar_t> &&
    !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t> && sizeof(T) <= 8;

template <typename T>
concept Sequence = requires(T t, typename T::value_type element) {
  t.push_back(std::move(element));
  t.size();
}
&&!std::same_as<T, std::string>;

template <typename T>
concept Map = requires(T t, typename T::key_type key, typename T::mapped_type value) {
  t.try_emplace(std::move(key), std::move(value));
};

template <typename T>
concept Set = requires(T t, typename T::key_type key) {
  t.insert(std::move(key)).second;
}
&&!Map<T> && std::same_as<typename T::key_type, typename T::value_type>;

template <typename T>
concept Struct = requires(const T* t) {
  BroodShapeOf(t);
};

template <typename T>
inline constexpr bool kIsByte = std::same_as<T, uint8_t> || std::same_as<T, std::byte>;

// Elements that lie in memory as they travel: copied in one piece.
template <typename T>
inline constexpr bool kIsFlat = (Integer<T> || std::floating_point<T> || std::same_as<T, std::byte>);

template <typename T>
bool DecodeNested(WireReader& from, T& value) {
  if (!from.Enter() || !Codec<T>::Decode(from, value)) return false;
  from.Leave();
  return true;
}

}  // namespace internal

template <typename T>
struct Codec {
  static_assert(sizeof(T) == 0,
                "this type cannot travel between processes: pass values, not pointers or views (std::string instead of "
                "const char*), and declare your structs with BROOD_FIELDS(Type, field, ...)");
};

template <>
struct Codec<bool> {
  static constexpr size_t kMinBytes = 1;
  static void Describe(internal::Description& to) { to.Word("bool"); }
  static void Encode(bool value, WireWriter& to) { to.Number(static_cast<uint8_t>(value)); }
  static bool Decode(WireReader& from, bool& value) {
    uint8_t byte = 0;
    if (!from.Number(byte)) return false;
    if (byte > 1) return from.Fail("has a bool that is neither true nor false");
    value = byte == 1;
    return true;
  }
};

template <>
struct Codec<char> {
  static constexpr size_t kMinBytes = 1;
  static void Describe(internal::Description& to) { to.Word("char"); }
  static void Encode(char value, WireWriter& to) { to.Number(value); }
  static bool Decode(WireReader& from, char& value) { return from.Number(value); }
};

template <internal::Integer T>
struct Codec<T> {
  static constexpr size_t kMinBytes = sizeof(T);
  static void Describe(internal::Description& to) {
    to.Word(absl::StrCat(std::is_signed_v<T> ? "int" : "uint", 8 * sizeof(T)));
  }
  static void Encode(T value, WireWriter& to) { to.Number(value); }
  static bool Decode(WireReader& from, T& value) { return from.Number(value); }
};

template <std::floating_point T>
struct Codec<T> {
  static_assert(sizeof(T) <= 8, "long double has no fixed form; pass double");
  static constexpr size_t kMinBytes = sizeof(T);
  static void Describe(internal::Description& to) { to.Word(sizeof(T) == 4 ? "float" : "double"); }
  static void Encode(T value, WireWriter& to) { to.Number(value); }
  static bool Decode(WireReader& from, T& value) { return from.Number(value); }
};

template <typename T>
requires std::is_enum_v<T>
struct Codec<T> {
  // Only then is every value of the underlying type a value of the enum: others may come from outside.
  static_assert(
      requires { T{0}; }, "give the enum a fixed type, `enum E : int` or `enum class`, so that it can travel");
  using Number = std::underlying_type_t<T>;
  static constexpr size_t kMinBytes = Codec<Number>::kMinBytes;
  static void Describe(internal::Description& to) {
    to.Word("enum:");
    to.Add<Number>();
  }
  static void Encode(T value, WireWriter& to) { Codec<Number>::Encode(static_cast<Number>(value), to); }
  static bool Decode(WireReader& from, T& value) {
    Number number = {};
    if (!Codec<Number>::Decode(from, number)) return false;
    value = static_cast<T>(number);
    return true;
  }
};

template <>
struct Codec<std::string> {
  static constexpr size_t kMinBytes = 8;
  static void Describe(internal::Description& to) { to.Word("string"); }
  static void Encode(std::string_view value, WireWriter& to) {
    to.Count(value.size());
    to.Raw(value.data(), value.size());
  }
  static bool Decode(WireReader& from, std::string& value) {
    size_t size = 0;
    std::string_view bytes;
    if (!from.Count(1, size) || !from.Raw(size, bytes)) return false;
    value.assign(bytes);
    return true;
  }
};

// A descriptor; the receiver gets a duplicate. Only in values that are packed (value.h): bytes alone cannot carry it.
template <>
struct Codec<UniqueFd> {
  static constexpr size_t kMinBytes = 4;
  static void Describe(internal::Description& to) { to.Word("handle"); }
  static void Encode(const UniqueFd& value, WireWriter& to) { to.Handle(Duplicate(value.get())); }
  static bool Decode(WireReader& from, UniqueFd& value) { return from.Handle(value); }
};

template <internal::Sequence T>
struct Codec<T> {
  using Element = typename T::value_type;
  static constexpr size_t kMinBytes = 8;
  static void Describe(internal::Description& to) {
    if constexpr (internal::kIsByte<Element>) {
      to.Word("bytes");
    } else {
      to.Word("vector<");
      to.Add<Element>();
      to.Word(">");
    }
  }
  static void Encode(const T& value, WireWriter& to) {
    to.Count(value.size());
    if constexpr (kIsOnePiece) {
      to.Raw(value.data(), value.size() * sizeof(Element));
    } else {
      for (const auto& element : value) Codec<Element>::Encode(element, to);
    }
  }
  static bool Decode(WireReader& from, T& value) {
    value.clear();
    size_t count = 0;
    if constexpr (kIsOnePiece) {
      std::string_view bytes;
      if (!from.Count(sizeof(Element), count) || !from.Raw(count * sizeof(Element), bytes)) return false;
      value.resize(count);
      if (count > 0) std::memcpy(static_cast<void*>(value.data()), bytes.data(), bytes.size());
    } else {
      if (!from.Count(Codec<Element>::kMinBytes, count)) return false;
      for (size_t i = 0; i < count; ++i) {
        Element element{};
        if (!internal::DecodeNested(from, element)) return false;
        value.push_back(std::move(element));
      }
    }
    return true;
  }

 private:
  static constexpr bool kIsOnePiece = internal::kIsFlat<Element> && requires(T t) { t.data(); };
};

template <typename T, size_t N>
struct Codec<std::array<T, N>> {
  static constexpr size_t kMinBytes = N == 0 ? 1 : N * Codec<T>::kMinBytes;
  static void Describe(internal::Description& to) {
    to.Word("array<");
    to.Add<T>();
    to.Word(absl::StrCat(",", N, ">"));
  }
  static void Encode(const std::array<T, N>& value, WireWriter& to) {
    if constexpr (N == 0) to.Number(uint8_t{0});
    for (const T& element : value) Codec<T>::Encode(element, to);
  }
  static bool Decode(WireReader& from, std::array<T, N>& value) {
    if constexpr (N == 0) {
      uint8_t placeholder = 0;
      return from.Number(placeholder);
    }
    for (T& element : value) {
      if (!internal::DecodeNested(from, element)) return false;
    }
    return true;
  }
};

template <internal::Map T>
struct Codec<T> {
  using Key = typename T::key_type;
  using Value = typename T::mapped_type;
  static constexpr size_t kMinBytes = 8;
  static void Describe(internal::Description& to) {
    to.Word("map<");
    to.List<Key, Value>();
    to.Word(">");
  }
  static void Encode(const T& value, WireWriter& to) {
    to.Count(value.size());
    for (const auto& [key, element] : value) {
      Codec<Key>::Encode(key, to);
      Codec<Value>::Encode(element, to);
    }
  }
  static bool Decode(WireReader& from, T& value) {
    value.clear();
    size_t count = 0;
    if (!from.Count(Codec<Key>::kMinBytes + Codec<Value>::kMinBytes, count)) return false;
    for (size_t i = 0; i < count; ++i) {
      Key key{};
      Value element{};
      if (!internal::DecodeNested(from, key) || !internal::DecodeNested(from, element)) return false;
      if (!value.try_emplace(std::move(key), std::move(element)).second) return from.Fail("has a key twice");
    }
    return true;
  }
};

template <internal::Set T>
struct Codec<T> {
  using Key = typename T::key_type;
  static constexpr size_t kMinBytes = 8;
  static void Describe(internal::Description& to) {
    to.Word("set<");
    to.Add<Key>();
    to.Word(">");
  }
  static void Encode(const T& value, WireWriter& to) {
    to.Count(value.size());
    for (const Key& key : value) Codec<Key>::Encode(key, to);
  }
  static bool Decode(WireReader& from, T& value) {
    value.clear();
    size_t count = 0;
    if (!from.Count(Codec<Key>::kMinBytes, count)) return false;
    for (size_t i = 0; i < count; ++i) {
      Key key{};
      if (!internal::DecodeNested(from, key)) return false;
      if (!value.insert(std::move(key)).second) return from.Fail("has an element of a set twice");
    }
    return true;
  }
};

// The type's name, as errors show it: "vector<pair<string,int32>>", "Point{x:int32,y:vector<double>}".
template <typename T>
std::string TypeName() {
  internal::Description description;
  description.Add<T>();
  return description.Take();
}

template <typename T>
std::string EncodeValue(const T& value) {
  WireWriter writer;
  Codec<T>::Encode(value, writer);
  return writer.Take();
}

// Reads the value that all of `bytes` stands for; what `value` holds after an error is unspecified. Errors: DataLoss
// saying what is wrong with the bytes.
//
// Not inlined: gcc 12 takes the empty optionals of a large value for uninitialised ones, and users' warnings are errors
// too. GCC bug 80635.
template <typename T>
[[gnu::noinline]] absl::Status DecodeInto(std::string_view bytes, T& value, const WireHandles* handles = nullptr) {
  WireReader reader(bytes, handles);
  if (Codec<T>::Decode(reader, value) && !reader.AtEnd()) reader.Fail("has bytes left over");
  if (reader.status().ok()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("a ", TypeName<T>(), " that ", reader.status().message()));
}

namespace internal {
template <typename T>
inline constexpr bool kIsStatus = std::same_as<T, absl::Status>;
template <typename T>
inline constexpr bool kIsStatus<absl::StatusOr<T>> = true;
}  // namespace internal

// As DecodeInto. Not for statuses: a StatusOr of one cannot tell its own errors from its value's.
template <typename T>
requires(!internal::kIsStatus<T>) absl::StatusOr<T> DecodeValue(std::string_view bytes) {
  static_assert(std::default_initializable<T>, "a type that travels must be default-constructible");
  T value{};
  if (absl::Status status = DecodeInto(bytes, value); !status.ok()) return status;
  return value;
}

}  // namespace brood

#include "serialization/codec_absl.h"        // IWYU pragma: export
#include "serialization/codec_composites.h"  // IWYU pragma: export

#endif  // BROOD_SERIALIZATION_CODEC_H_
