// One line makes a struct a value that can travel.
//
//   struct Point { int x; std::vector<double> y; };
//   BROOD_FIELDS(Point, x, y);                  // In the namespace of the struct, or
//
//   class Account {
//     friend BROOD_FIELDS(Account, id, owner);  // inside, for private members.
//   };
//
// The struct must be default-constructible and every field must be of a type that can travel (codec.h).
#ifndef BROOD_SERIALIZATION_FIELDS_H_
#define BROOD_SERIALIZATION_FIELDS_H_

#include <string_view>
#include <tuple>

namespace brood {
namespace internal {

template <typename Struct, typename Member>
struct Field {
  std::string_view name;
  Member Struct::*member;
};

template <typename Struct, typename Member>
constexpr std::tuple<Field<Struct, Member>> OneField(std::string_view name, Member Struct::*member) {
  return {Field<Struct, Member>{name, member}};
}

template <typename Fields>
struct StructShape {
  std::string_view name;
  Fields fields;
};

template <typename... Tuples>
constexpr auto MakeShape(std::string_view name, Tuples... fields) {
  return StructShape<decltype(std::tuple_cat(fields...))>{name, std::tuple_cat(fields...)};
}

}  // namespace internal
}  // namespace brood

// The rescans are what lets BROOD_INTERNAL_FIELDS go on after itself: enough for 255 fields.
#define BROOD_INTERNAL_SCAN(...) \
  BROOD_INTERNAL_SCAN3(BROOD_INTERNAL_SCAN3(BROOD_INTERNAL_SCAN3(BROOD_INTERNAL_SCAN3(__VA_ARGS__))))
#define BROOD_INTERNAL_SCAN3(...) \
  BROOD_INTERNAL_SCAN2(BROOD_INTERNAL_SCAN2(BROOD_INTERNAL_SCAN2(BROOD_INTERNAL_SCAN2(__VA_ARGS__))))
#define BROOD_INTERNAL_SCAN2(...) \
  BROOD_INTERNAL_SCAN1(BROOD_INTERNAL_SCAN1(BROOD_INTERNAL_SCAN1(BROOD_INTERNAL_SCAN1(__VA_ARGS__))))
#define BROOD_INTERNAL_SCAN1(...) \
  BROOD_INTERNAL_SCAN0(BROOD_INTERNAL_SCAN0(BROOD_INTERNAL_SCAN0(BROOD_INTERNAL_SCAN0(__VA_ARGS__))))
#define BROOD_INTERNAL_SCAN0(...) __VA_ARGS__
#define BROOD_INTERNAL_PARENS ()
#define BROOD_INTERNAL_FIELDS(Type, field, ...)       \
  , ::brood::internal::OneField(#field, &Type::field) \
        __VA_OPT__(BROOD_INTERNAL_FIELDS_AGAIN BROOD_INTERNAL_PARENS(Type, __VA_ARGS__))
#define BROOD_INTERNAL_FIELDS_AGAIN() BROOD_INTERNAL_FIELDS

#define BROOD_FIELDS(Type, ...)                                                           \
  inline constexpr auto BroodShapeOf(const Type*) {                                       \
    return ::brood::internal::MakeShape(                                                  \
        #Type __VA_OPT__(BROOD_INTERNAL_SCAN(BROOD_INTERNAL_FIELDS(Type, __VA_ARGS__)))); \
  }                                                                                       \
  static_assert(true, "so that a semicolon follows")

#endif  // BROOD_SERIALIZATION_FIELDS_H_
