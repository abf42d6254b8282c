// The codec of optional, unique_ptr, pair, tuple, variant and user structs. Included by codec.h; include that.
#ifndef BROOD_SERIALIZATION_CODEC_COMPOSITES_H_
#define BROOD_SERIALIZATION_CODEC_COMPOSITES_H_

#include "serialization/codec.h"

namespace brood {

// Takes a byte, so that no count of them is free.
template <>
struct Codec<std::monostate> {
  static constexpr size_t kMinBytes = 1;
  static void Describe(internal::Description& to) { to.Word("none"); }
  static void Encode(std::monostate, WireWriter& to) { to.Number(uint8_t{0}); }
  static bool Decode(WireReader& from, std::monostate&) {
    uint8_t byte = 0;
    return from.Number(byte) && (byte == 0 || from.Fail("has something where nothing is"));
  }
};

template <typename T>
struct Codec<std::optional<T>> {
  static constexpr size_t kMinBytes = 1;
  static void Describe(internal::Description& to) {
    to.Word("optional<");
    to.Add<T>();
    to.Word(">");
  }
  static void Encode(const std::optional<T>& value, WireWriter& to) {
    Codec<bool>::Encode(value.has_value(), to);
    if (value.has_value()) Codec<T>::Encode(*value, to);
  }
  static bool Decode(WireReader& from, std::optional<T>& value) {
    bool present = false;
    if (!Codec<bool>::Decode(from, present)) return false;
    value.reset();
    return !present || internal::DecodeNested(from, value.emplace());
  }
};

// As optional, so that a struct may own another of its kind. Two pointers to one object cannot be told on the other side.
template <typename T>
struct Codec<std::unique_ptr<T>> {
  static constexpr size_t kMinBytes = 1;
  static void Describe(internal::Description& to) { Codec<std::optional<T>>::Describe(to); }
  static void Encode(const std::unique_ptr<T>& value, WireWriter& to) {
    Codec<bool>::Encode(value != nullptr, to);
    if (value != nullptr) Codec<T>::Encode(*value, to);
  }
  static bool Decode(WireReader& from, std::unique_ptr<T>& value) {
    bool present = false;
    if (!Codec<bool>::Decode(from, present)) return false;
    value = present ? std::make_unique<T>() : nullptr;
    return !present || internal::DecodeNested(from, *value);
  }
};

template <typename A, typename B>
struct Codec<std::pair<A, B>> {
  static constexpr size_t kMinBytes = Codec<A>::kMinBytes + Codec<B>::kMinBytes;
  static void Describe(internal::Description& to) {
    to.Word("pair<");
    to.List<A, B>();
    to.Word(">");
  }
  static void Encode(const std::pair<A, B>& value, WireWriter& to) {
    Codec<A>::Encode(value.first, to);
    Codec<B>::Encode(value.second, to);
  }
  static bool Decode(WireReader& from, std::pair<A, B>& value) {
    return internal::DecodeNested(from, value.first) && internal::DecodeNested(from, value.second);
  }
};

template <>
struct Codec<std::tuple<>> : Codec<std::monostate> {
  static void Encode(const std::tuple<>&, WireWriter& to) { Codec<std::monostate>::Encode({}, to); }
  static bool Decode(WireReader& from, std::tuple<>&) {
    std::monostate nothing;
    return Codec<std::monostate>::Decode(from, nothing);
  }
};

template <typename... Ts>
struct Codec<std::tuple<Ts...>> {
  static constexpr size_t kMinBytes = (Codec<Ts>::kMinBytes + ...);
  static void Describe(internal::Description& to) {
    to.Word("tuple<");
    to.List<Ts...>();
    to.Word(">");
  }
  static void Encode(const std::tuple<Ts...>& value, WireWriter& to) {
    std::apply([&](const Ts&... element) { (Codec<Ts>::Encode(element, to), ...); }, value);
  }
  static bool Decode(WireReader& from, std::tuple<Ts...>& value) {
    return std::apply([&](Ts&... element) { return (internal::DecodeNested(from, element) && ...); }, value);
  }
};

template <typename... Ts>
struct Codec<std::variant<Ts...>> {
  static_assert(sizeof...(Ts) < 255, "too many alternatives");
  static constexpr size_t kMinBytes = 1;
  static void Describe(internal::Description& to) {
    to.Word("variant<");
    to.List<Ts...>();
    to.Word(">");
  }
  static void Encode(const std::variant<Ts...>& value, WireWriter& to) {
    // A variant that lost its value to an exception has the index -1, which no reader accepts.
    to.Number(static_cast<uint8_t>(value.index()));
    if (value.valueless_by_exception()) return;
    std::visit([&]<typename T>(const T& alternative) { Codec<T>::Encode(alternative, to); }, value);
  }
  static bool Decode(WireReader& from, std::variant<Ts...>& value) {
    uint8_t index = 0;
    if (!from.Number(index)) return false;
    if (index >= sizeof...(Ts)) return from.Fail("has an unknown alternative of a variant");
    return DecodeAlternative(from, index, value, std::index_sequence_for<Ts...>());
  }

 private:
  template <size_t... Is>
  static bool DecodeAlternative(WireReader& from, size_t index, std::variant<Ts...>& value,
                                std::index_sequence<Is...>) {
    bool ok = false;
    ((Is == index ? void(ok = internal::DecodeNested(from, value.template emplace<Is>())) : void()), ...);
    return ok;
  }
};

template <internal::Struct T>
struct Codec<T> {
  // A struct may contain itself (in a vector, say), so that its smallest size cannot be added up: one byte of its own.
  static constexpr size_t kMinBytes = 1;
  static void Describe(internal::Description& to) {
    constexpr auto kShape = Shape();
    if (!to.Open(kShape.name)) return;
    to.Word("{");
    std::string_view separator;
    std::apply(
        [&]<typename... Members>(const internal::Field<T, Members>&... field) {
          ((to.Word(separator), to.Word(field.name), to.Word(":"), to.Add<Members>(), separator = ","), ...);
        },
        kShape.fields);
    to.Word("}");
    to.Close();
  }
  static void Encode(const T& value, WireWriter& to) {
    to.Number(kMark);
    std::apply(
        [&]<typename... Members>(const internal::Field<T, Members>&... field) {
          (Codec<Members>::Encode(value.*field.member, to), ...);
        },
        Shape().fields);
  }
  static bool Decode(WireReader& from, T& value) {
    uint8_t mark = 0;
    if (!from.Number(mark)) return false;
    if (mark != kMark) return from.Fail("has something else where a struct should be");
    return std::apply(
        [&]<typename... Members>(const internal::Field<T, Members>&... field) {
          return (internal::DecodeNested(from, value.*field.member) && ...);
        },
        Shape().fields);
  }

 private:
  static constexpr uint8_t kMark = '{';
  static constexpr auto Shape() { return BroodShapeOf(static_cast<const T*>(nullptr)); }
};

}  // namespace brood

#endif  // BROOD_SERIALIZATION_CODEC_COMPOSITES_H_
