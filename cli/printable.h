// Text from jobs and programs, made safe for a terminal.
#ifndef BROOD_CLI_PRINTABLE_H_
#define BROOD_CLI_PRINTABLE_H_

#include <string>
#include <string_view>
#include <vector>

#include "batch/text.h"

namespace brood {

// A command as a shell would take it, on one line.
std::string ShellCommand(const std::vector<std::string>& argv);

// A JSON string, quotes included.
std::string JsonText(std::string_view text);

}  // namespace brood

#endif  // BROOD_CLI_PRINTABLE_H_
