// What a target threw, as data and as text.
#ifndef BROOD_BOOTSTRAP_ERROR_REPORT_H_
#define BROOD_BOOTSTRAP_ERROR_REPORT_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "bootstrap/throw_site.h"
#include "serialization/messages.h"

namespace brood {
namespace internal {

// The exception that is being handled, of whatever type, with the nested ones as causes; `site` is where it came from.
// Inside a catch block only. Long texts are cut, so that the whole is below kMaxErrorBytes, and it never throws.
ResultError CurrentException(const ThrowSite& site) noexcept;

// A status that a target returned. One that would take more than kMaxErrorBytes has its message cut and loses its
// payloads, and says so.
ResultError StatusError(const absl::Status& status);

// On stderr: "WHERE ended by TYPE: MESSAGE", the stack, and the same for each cause. `where` is "target Square".
void PrintError(std::string_view where, const ResultError& error);

}  // namespace internal
}  // namespace brood

#endif  // BROOD_BOOTSTRAP_ERROR_REPORT_H_
