// `brood run --tty`: the program's own pseudo-terminal, between it and what this program's streams are.
//
// Where stdin is a terminal, it is raw meanwhile: each key is the program's to make something of. It is put back when the
// program has ended, when this one is stopped, and also when it is killed: a small process watches for that.
#ifndef BROOD_CLI_OWN_TERMINAL_H_
#define BROOD_CLI_OWN_TERMINAL_H_

#include <optional>

#include "absl/status/statusor.h"
#include "cli/signals.h"
#include "launcher/launch_options.h"
#include "launcher/process.h"

namespace brood {

// Starts it, and waits for the end. `signals` are those of Which::kOwnTerminal; the first that ends this program is forwarded,
// a second one kills the tree. Errors: those of Process::Launch; Unimplemented (Windows).
absl::StatusOr<Outcome> RunOnOwnTerminal(LaunchOptions options, SignalSource& signals, std::optional<Process>& process);

}  // namespace brood

#endif  // BROOD_CLI_OWN_TERMINAL_H_
