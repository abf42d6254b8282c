#include <exception>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "bootstrap/error_report.h"
#include "bootstrap/exit.h"
#include "bootstrap/registry.h"
#include "bootstrap/throw_site.h"
#include "forkserver/preload.h"
#include "forkserver/preload_memory.h"

namespace brood::internal {
namespace {

absl::Status RunOnce(const BoundTarget& target) {
  ThrowSite site;
  try {
    const ExitScope scope;
    const PreloadMemoryScope memory;
    TargetResult result;
    Watch([&] { result = target(); }, &site);
    if (!result.status.ok()) return result.status;
    if (result.exit_code != 0) return absl::AbortedError(absl::StrCat("gave the exit code ", result.exit_code));
    return absl::OkStatus();
  } catch (const ExitRequest&) {
    return absl::AbortedError("called brood::Exit, which would end the server");
  } catch (...) {
    const ResultError error = CurrentException(site);
    return absl::UnknownError(absl::StrCat(error.type, ": ", error.status.message()));
  }
}

}  // namespace

absl::Status Preload(const std::string& name, const std::function<void(const char* phase)>& tell) {
  const std::string context = absl::StrCat("preload ", name, ": ");
  tell("load");
  const absl::StatusOr<const TargetEntry*> entry = FindTarget(name);
  if (!entry.ok()) return Annotate(entry.status(), context + "load");
  const absl::StatusOr<BoundTarget> target = (*entry)->bind({});
  if (!target.ok()) return Annotate(target.status(), context + "load: a preload takes no arguments");
  tell("run");
  return Annotate(RunOnce(*target), context + "run");
}

}  // namespace brood::internal
