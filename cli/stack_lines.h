// The stack trace of a violation, for people.
#ifndef BROOD_CLI_STACK_LINES_H_
#define BROOD_CLI_STACK_LINES_H_

#include <string>
#include <vector>

#include "launcher/outcome.h"

namespace brood {

// "  #0 Parser::Next(int)+0x1f (/usr/bin/tool)" and so on, and why there are no more; nothing if no trace was asked for.
// Safe for a terminal.
std::vector<std::string> StackLines(const Outcome& outcome);

}  // namespace brood

#endif  // BROOD_CLI_STACK_LINES_H_
