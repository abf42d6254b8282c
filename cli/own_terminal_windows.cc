#include "cli/own_terminal.h"

namespace brood {

absl::StatusOr<Outcome> RunOnOwnTerminal(LaunchOptions, SignalSource&, std::optional<Process>&) {
  return absl::UnimplementedError("--tty: not on Windows, where the program shares this console; leave it out");
}

}  // namespace brood
