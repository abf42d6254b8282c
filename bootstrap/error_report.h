// What a target threw, as data and as text.
#ifndef BROOD_BOOTSTRAP_ERROR_REPORT_H_
#define BROOD_BOOTSTRAP_ERROR_REPORT_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "serialization/messages.h"

namespace brood {
namespace internal {

// The exception that is being handled, of whatever type, with the nested ones as causes. Inside a catch block only.
ResultError CurrentException();

// A status that a target returned.
ResultError StatusError(const absl::Status& status);

// "TYPE: MESSAGE" and a line for each cause, on stderr. `where` is what ended by it: "target Square".
void PrintError(std::string_view where, const ResultError& error);

}  // namespace internal
}  // namespace brood

#endif  // BROOD_BOOTSTRAP_ERROR_REPORT_H_
