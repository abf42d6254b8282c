// Signals as something to wait for. The library installs no handlers; the program takes its signals from a descriptor. On
// Windows they are what a console tells: Ctrl+C, Ctrl+Break and its end.
#ifndef BROOD_CLI_SIGNALS_H_
#define BROOD_CLI_SIGNALS_H_

#include <optional>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood {

struct CaughtSignal {
  int number = 0;
  bool from_terminal = false;  // The kernel sent it, to the whole foreground process group.
};

// From its creation on. Make it before anything is started, in the only thread.
class SignalSource {
 public:
  enum class Which {
    kEnds,          // TERM, INT and HUP.
    kEndsAndStops,  // Also what a terminal sends to programs that go on: TSTP and WINCH. None on Windows.
    kOwnTerminal,   // Also CONT, since others may have changed the terminal during a stop.
  };

  // A signal that the caller ignores (HUP under nohup) stays ignored.
  static absl::StatusOr<SignalSource> Create(Which which = Which::kEnds);

  int fd() const { return fd_.get(); }  // Readable when a signal has come.

  // The next one, or nothing.
  std::optional<CaughtSignal> Next();

  // Whether Next has given one of kEnds.
  bool told_to_end() const { return told_to_end_; }

 private:
  bool told_to_end_ = false;
  UniqueFd fd_;
};

// A reader of the output who goes away is an error of the write from now on, and no signal.
void IgnoreBrokenPipes();

}  // namespace brood

#endif  // BROOD_CLI_SIGNALS_H_
