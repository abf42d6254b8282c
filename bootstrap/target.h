// Makes a function a target: something that a child can be asked to run.
//
//   int Square(int x) { return x * x; }
//   BROOD_TARGET(Square);                                // At namespace scope, in a source file.
//   BROOD_TARGET_AS("jobs.square", Square);              // The same under a name of your choice.
//
//   context.Call(Square, 7);                             // launcher/context.h
//
// Parameters are values that can travel (serialization/codec.h), by value, by const reference or as std::string_view.
// What the function may return, and what becomes of it:
//
//   void                    exit code 0
//   T                       exit code 0, and the value for the caller
//   absl::Status            exit code 0, or 1 with the status on stderr and for the caller
//   absl::StatusOr<T>       both of these
//   brood::ExitCode         that exit code (exit.h)
//   T&                      as T
//
// Default arguments are no part of a function's type: pass them all. Of an overloaded function, or a template, write
// down which one is meant in a function of its own.
//
// A library of targets needs `alwayslink = True` in Bazel, or the linker leaves the unmentioned ones out.
#ifndef BROOD_BOOTSTRAP_TARGET_H_
#define BROOD_BOOTSTRAP_TARGET_H_

#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bootstrap/exit.h"
#include "bootstrap/registry.h"
#include "serialization/codec.h"
#include "serialization/value.h"

namespace brood {
namespace internal {

// What a parameter is kept as while the target runs, and what its argument travels as.
template <typename Parameter>
struct StorageOf {
  static_assert(!std::is_lvalue_reference_v<Parameter> || std::is_const_v<std::remove_reference_t<Parameter>>,
                "a target cannot change its caller's variables: take the parameter by value or by const reference");
  static_assert(!std::is_pointer_v<std::remove_cvref_t<Parameter>>,
                "a pointer means nothing in another process: take a value (std::string instead of const char*)");
  using type = std::remove_cvref_t<Parameter>;
};
template <>
struct StorageOf<std::string_view> {
  using type = std::string;
};
template <>
struct StorageOf<const std::string_view> {
  using type = std::string;
};
template <>
struct StorageOf<const std::string_view&> {
  using type = std::string;
};
template <typename Parameter>
using Storage = typename StorageOf<Parameter>::type;

// What the caller gets for what the target returns: a copy, also of what it returns by reference.
template <typename Returned>
struct ReturnOf {
  using Value = std::remove_cvref_t<Returned>;
  static_assert(!std::is_same_v<Value, std::string_view> && !std::is_pointer_v<Value>,
                "what this points to ends with the child: return a value (std::string instead of std::string_view)");
  static TargetResult Wrap(const Value& value) { return {.value = Pack(value), .status = {}}; }
  static void Write(const Value& value, WireWriter& to, CallEnd&) { Codec<Value>::Encode(value, to); }
};
template <typename Returned>
struct ReturnOf<Returned&> : ReturnOf<std::remove_cv_t<Returned>> {};
template <>
struct ReturnOf<void> {
  using Value = void;
};
template <>
struct ReturnOf<absl::Status> {
  using Value = void;
  static TargetResult Wrap(absl::Status status) { return {.value = std::nullopt, .status = std::move(status)}; }
  static void Write(absl::Status status, WireWriter&, CallEnd& end) { end.status = std::move(status); }
};
template <typename T>
struct ReturnOf<absl::StatusOr<T>> {
  using Value = T;
  static TargetResult Wrap(const absl::StatusOr<T>& value) {
    if (!value.ok()) return {.value = std::nullopt, .status = value.status()};
    return {.value = Pack(*value), .status = {}};
  }
  static void Write(const absl::StatusOr<T>& value, WireWriter& to, CallEnd& end) {
    if (value.ok()) {
      Codec<T>::Encode(*value, to);
    } else {
      end.status = value.status();
    }
  }
};
template <>
struct ReturnOf<ExitCode> {
  using Value = void;
  static TargetResult Wrap(ExitCode code) { return {.value = std::nullopt, .status = {}, .exit_code = code.value}; }
  static void Write(ExitCode code, WireWriter&, CallEnd& end) { end.exit_code = code.value; }
};

template <typename Returned>
std::string ReturnName() {
  if constexpr (std::is_same_v<Returned, ExitCode>) {
    return "exit code";
  } else if constexpr (std::is_void_v<typename ReturnOf<Returned>::Value>) {
    return "void";
  } else {
    return TypeName<typename ReturnOf<Returned>::Value>();
  }
}

template <auto kFunction, typename Returned, typename... Parameters>
struct TypedTarget {
  static absl::StatusOr<BoundTarget> Bind(const std::vector<TypedValue>& arguments) {
    // Shared, because a std::function must be copyable and an argument need not be.
    auto values = std::make_shared<std::tuple<Storage<Parameters>...>>();
    if (absl::Status status = UnpackAll(arguments, *values); !status.ok()) return status;
    return BoundTarget([values]() -> TargetResult {
      return std::apply(
          [](Storage<Parameters>&... value) -> TargetResult {
            // Volatile, so that it is not inlined: a stack trace shows its name.
            Returned (*volatile function)(Parameters...) = kFunction;
            if constexpr (std::is_void_v<Returned>) {
              function(std::move(value)...);
              return {};
            } else {
              return ReturnOf<Returned>::Wrap(function(std::move(value)...));
            }
          },
          *values);
    });
  }

  static bool Call(WireReader& from, WireWriter& to, CallEnd& end) {
    std::tuple<Storage<Parameters>...> values;
    const auto read_all = [&from](Storage<Parameters>&... value) {
      return (Codec<Storage<Parameters>>::Decode(from, value) && ...);
    };
    if (!std::apply(read_all, values)) return false;
    std::apply(
        [&](Storage<Parameters>&... value) {
          Returned (*volatile function)(Parameters...) = kFunction;  // Volatile as in Bind.
          if constexpr (std::is_void_v<Returned>) {
            function(std::move(value)...);
          } else {
            ReturnOf<Returned>::Write(function(std::move(value)...), to, end);
          }
        },
        values);
    return true;
  }

  static std::string Signature() {
    std::string text = "(";
    ((absl::StrAppend(&text, text.size() > 1 ? "," : "", TypeName<Storage<Parameters>>())), ...);
    return absl::StrCat(text, ")->", ReturnName<Returned>());
  }
};

template <auto kFunction, typename Returned, typename... Parameters>
constexpr TargetEntry MakeEntryFor(const char* name, Returned (*)(Parameters...)) {
  using Target = TypedTarget<kFunction, Returned, Parameters...>;
  return {.name = name, .function = nullptr, .bind = Target::Bind, .signature = Target::Signature, .call = Target::Call};
}

// noexcept is part of a function's type, and no difference to us.
template <auto kFunction, typename Returned, typename... Parameters>
constexpr TargetEntry MakeEntryFor(const char* name, Returned (*)(Parameters...) noexcept) {
  using Target = TypedTarget<kFunction, Returned, Parameters...>;
  return {.name = name, .function = nullptr, .bind = Target::Bind, .signature = Target::Signature, .call = Target::Call};
}

template <auto kFunction>
TargetEntry MakeEntry(const char* name) {
  static_assert(
      std::is_pointer_v<decltype(kFunction)> && std::is_function_v<std::remove_pointer_t<decltype(kFunction)>>,
      "a target is a free function, or a static member function");
  TargetEntry entry = MakeEntryFor<kFunction>(name, kFunction);
  entry.function = reinterpret_cast<AnyFunction>(kFunction);
  return entry;
}

}  // namespace internal
}  // namespace brood

#define BROOD_TARGET(function) BROOD_TARGET_AS(#function, function)
#define BROOD_TARGET_AS(name, function) BROOD_INTERNAL_TARGET(name, function, __COUNTER__)
#define BROOD_INTERNAL_TARGET(name, function, counter) BROOD_INTERNAL_TARGET2(name, function, counter)
#define BROOD_INTERNAL_TARGET2(name, function, counter)                                          \
  [[maybe_unused]] static const bool brood_target_##counter = [] {                               \
    static ::brood::internal::TargetEntry entry = ::brood::internal::MakeEntry<&function>(name); \
    return ::brood::internal::RegisterTarget(&entry);                                            \
  }()

#endif  // BROOD_BOOTSTRAP_TARGET_H_
