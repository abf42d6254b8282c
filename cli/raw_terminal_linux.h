// A terminal that is raw for a while, and is put back whatever happens.
#ifndef BROOD_CLI_RAW_TERMINAL_LINUX_H_
#define BROOD_CLI_RAW_TERMINAL_LINUX_H_

#include <sys/types.h>
#include <termios.h>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood {

class RawTerminal {  // Move-only. Puts it back when it goes.
 public:
  // For a program with one thread. `terminal` is borrowed, and as it was. In the background the caller is stopped until it is
  // in the foreground, as any program that changes its terminal. Errors: those of tcsetattr(3), pipe(2) and fork(2).
  static absl::StatusOr<RawTerminal> Prepare(int terminal);

  RawTerminal(RawTerminal&&) = default;
  RawTerminal& operator=(RawTerminal&&) = delete;
  ~RawTerminal();

  // Also around a stop, since anybody may have changed it meanwhile.
  void MakeRaw();
  void PutBack();

 private:
  RawTerminal() = default;

  int terminal_ = -1;
  bool was_raw_ = false;
  termios before_ = {};
  termios raw_ = {};
  UniqueFd alive_;     // Whose end tells the keeper.
  UniqueFd keeper_;    // Its pidfd.
};

}  // namespace brood

#endif  // BROOD_CLI_RAW_TERMINAL_LINUX_H_
