// Arguments and results as JSON: for targets that are started by name, by people.
//
//   context.CallByName(options, "libjob.so:Norm", {JsonArgument("[3, 4]")})
//   JsonText(*result.value)                                             // "5.0"; serialization/json_value.h
//
// The child reads the text, by the types of its target: serialization/json_value.h says how. A text that does not fit is
// an error of the set-up, step "bootstrap".
#ifndef BROOD_BOOTSTRAP_JSON_ARGUMENTS_H_
#define BROOD_BOOTSTRAP_JSON_ARGUMENTS_H_

#include <string>

#include "serialization/value.h"

namespace brood {

TypedValue JsonArgument(std::string json);

}  // namespace brood

#endif  // BROOD_BOOTSTRAP_JSON_ARGUMENTS_H_
