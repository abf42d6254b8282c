// The start method of those who do not choose one: as multiprocessing.set_start_method and its neighbours.
//
//   BROOD_RETURN_IF_ERROR(SetStartMethod(StartMethod::kSpawn));   // In main, once.
//   const absl::StatusOr<int> squared = DefaultContext().Call(Square, 7);
//
// Libraries should take a Context instead. In a process that brood started the default is the method by which that was
// born, and counts as chosen. Thread-safe.
#ifndef BROOD_LAUNCHER_DEFAULT_CONTEXT_H_
#define BROOD_LAUNCHER_DEFAULT_CONTEXT_H_

#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "launcher/context.h"
#include "launcher/context_options.h"
#include "serialization/messages.h"

namespace brood {

// Those of this platform, its default first: forkserver.
std::vector<StartMethod> AllStartMethods();

// "spawn", "fork", "forkserver". Errors: InvalidArgument, listing those.
absl::StatusOr<StartMethod> ParseStartMethod(std::string_view name);

enum class IfChosen { kRefuse, kReplace };

// Chooses the default. Errors: FailedPrecondition if it is chosen already, by this or by GetStartMethod, unless it is to
// be replaced.
absl::Status SetStartMethod(StartMethod method, IfChosen if_chosen = IfChosen::kRefuse);

// As if it had never been chosen.
void ForgetStartMethod();

// The default; from now on it is chosen. A start through a Context of a given method does not choose.
StartMethod GetStartMethod();

// Nothing if it is not chosen yet, and then it still is not.
std::optional<StartMethod> ChosenStartMethod();

// A context of GetStartMethod().
Context DefaultContext(ContextOptions options = {});

}  // namespace brood

#endif  // BROOD_LAUNCHER_DEFAULT_CONTEXT_H_
