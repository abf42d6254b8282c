// What the `brood` program is on this system. For main.cc only.
#ifndef BROOD_CLI_PROGRAM_H_
#define BROOD_CLI_PROGRAM_H_

#include <string>
#include <string_view>
#include <vector>

namespace brood {

using Command = int (*)(const std::vector<std::string>& args);

// Null if there is no command of that name. One that this system lacks says so.
Command FindCommand(std::string_view name);

// First of all in main: makes the standard streams sound. An exit status other than kExitOk, with a message, if brood refuses
// to be run this way.
int PrepareProgram();

// UTF-8, without the program's name.
std::vector<std::string> CommandLineWords(int argc, char** argv);

}  // namespace brood

#endif  // BROOD_CLI_PROGRAM_H_
