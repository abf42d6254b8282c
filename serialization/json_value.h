// Values as JSON, by the names of their types: what people write as arguments and read as results.
//
//   ValueFromJson("vector<int32>", "[1, 2]")          // As Pack(std::vector<int>{1, 2}).
//   JsonText(Pack(std::optional<double>()))           // "null"
//
// | type                     | JSON                                                                     |
// | bool, string             | the same; a string that is not UTF-8 is as bytes                         |
// | integers, enums          | a number without point and exponent, within the type's range             |
// | float, double            | a number, "NaN", "Infinity", "-Infinity"                                 |
// | char                     | a string of one byte                                                     |
// | bytes (vector<uint8_t>)  | {"base64": "..."}; as an argument also {"text": "..."}                   |
// | vector, set, array, pair, tuple | a list                                                            |
// | map                      | an object if its keys are strings, else a list of [key, value]           |
// | struct                   | an object with all its fields and no others                              |
// | optional                 | null, or its value                                                       |
// | variant                  | as an argument, the first of its types that the JSON fits                |
// | none                     | null                                                                     |
// | duration, time           | "1.5s", "2026-11-28T00:00:00Z"; a duration also a number of seconds      |
// | status, status_or        | results only: {"code": "NOT_FOUND", "message": "..."}, or the value      |
//
// A handle has no form. Functions may be called from any thread.
#ifndef BROOD_SERIALIZATION_JSON_VALUE_H_
#define BROOD_SERIALIZATION_JSON_VALUE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "serialization/value.h"

namespace brood {

// Errors: InvalidArgument, saying what was expected, and where: "[3].x: expected uint8 (0 to 255), got 300".
absl::StatusOr<TypedValue> ValueFromJson(std::string_view type, std::string_view json);

// On one line. Errors: DataLoss (bytes that are not of their type), InvalidArgument (a type without a form).
absl::StatusOr<std::string> JsonText(const TypedValue& value);

// Turns each of `arguments` whose type is `json_type` into a value of the parameter's type, by a target's signature.
// Errors: InvalidArgument, saying which argument.
absl::Status ReadJsonArguments(std::string_view signature, std::string_view json_type,
                               std::vector<TypedValue>& arguments);

}  // namespace brood

#endif  // BROOD_SERIALIZATION_JSON_VALUE_H_
