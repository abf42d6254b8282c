// The types of values, read from their names: what TypeName (codec.h) writes, as a tree.
#ifndef BROOD_SERIALIZATION_VALUE_TYPE_H_
#define BROOD_SERIALIZATION_VALUE_TYPE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace brood {

struct ValueType {
  enum class Kind {
    kBool,
    kChar,
    kInteger,  // An enum is one.
    kFloat,
    kDouble,
    kString,
    kBytes,
    kNone,
    kHandle,
    kStatus,
    kDuration,
    kTime,
    kOptional,
    kStatusOr,
    kVector,
    kSet,
    kArray,
    kMap,
    kTuple,  // A pair is one.
    kVariant,
    kStruct,
    kOuter,  // A struct that this is a part of.
  };
  Kind kind = Kind::kNone;
  std::string name;                               // As it was written.
  bool is_signed = false;                         // kInteger.
  unsigned bits = 0;                              // kInteger.
  size_t count = 0;                               // kArray.
  std::vector<std::unique_ptr<ValueType>> parts;  // Elements, key and value, alternatives, fields.
  std::vector<std::string> fields;                // kStruct: their names.
  const ValueType* outer = nullptr;               // kOuter.
};

// Errors: InvalidArgument (not a name that TypeName gives).
absl::StatusOr<std::unique_ptr<ValueType>> ParseValueType(std::string_view name);

// The parameters of "(int32,string)->bool". Errors: InvalidArgument.
absl::StatusOr<std::vector<std::unique_ptr<ValueType>>> ParseParameters(std::string_view signature);

}  // namespace brood

#endif  // BROOD_SERIALIZATION_VALUE_TYPE_H_
