#include "launcher/executor/call_target.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "bootstrap/error_report.h"
#include "bootstrap/exit.h"
#include "bootstrap/forced_unwind.h"
#include "bootstrap/target.h"
#include "bootstrap/throw_site.h"

namespace brood::internal {

absl::StatusOr<const TargetEntry*> FindTargetAs(std::string_view name, std::string_view signature) {
  BROOD_ASSIGN_OR_RETURN(const TargetEntry* const entry, FindTarget(name));
  const std::string own = entry->signature();
  if (own == signature) return entry;
  return absl::InvalidArgumentError(absl::StrCat("target ", name, " is ", own, ", and was called as ", signature));
}

// The runtime gives a handler of a forced unwind a reference to nothing, which UndefinedBehaviorSanitizer minds.
[[gnu::no_sanitize("null", "alignment")]] std::optional<ResultError> CallTarget(
    const TargetEntry& entry, WireReader arguments, WireWriter& value) {
  ThrowSite site;
  try {
    CallEnd end;
    bool called = false;
    Watch([&] { called = entry.call(arguments, value, end); }, &site);
    if (!called) return StatusError(Annotate(arguments.status(), "an argument"));
    if (!end.status.ok()) return StatusError(end.status);
    if (end.exit_code == 0) return std::nullopt;
    return StatusError(absl::AbortedError(absl::StrCat("returned exit code ", end.exit_code)));
  } catch (const ExitRequest&) {
    throw;  // Ends the worker in order; its executor sees the exit code.
  } catch (const ForcedUnwind&) {
    throw;  // pthread_exit: likewise.
  } catch (...) {
    return CurrentException(site);
  }
}

}  // namespace brood::internal
