// Standard error, if people read it as it comes.
#ifndef BROOD_CLI_TERMINAL_H_
#define BROOD_CLI_TERMINAL_H_

#include <cstddef>

namespace brood {

// Whether it is a terminal that knows the control sequences of ECMA-48.
bool TerminalRewritesLines();

// Its width; 80 if that cannot be told.
size_t TerminalColumns();

}  // namespace brood

#endif  // BROOD_CLI_TERMINAL_H_
