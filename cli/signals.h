// Signals as something to poll. The library installs no handlers; the program takes its signals from a descriptor.
#ifndef BROOD_CLI_SIGNALS_H_
#define BROOD_CLI_SIGNALS_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood {

struct CaughtSignal {
  int number = 0;
  bool from_terminal = false;  // The kernel sent it, to the whole foreground process group.
};

// TERM, INT and HUP, from its creation on. Make it before anything is started, in the only thread.
class SignalSource {
 public:
  // A signal that the caller ignores (HUP under nohup) stays ignored. `more` are caught besides those three.
  static absl::StatusOr<SignalSource> Create(const std::vector<int>& more = {});

  int fd() const { return fd_.get(); }  // Readable when a signal has come.

  // The next one, or nothing.
  std::optional<CaughtSignal> Next();

 private:
  UniqueFd fd_;
};

}  // namespace brood

#endif  // BROOD_CLI_SIGNALS_H_
