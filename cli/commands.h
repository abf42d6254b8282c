// One function for each command: the words after its name in, the exit status out.
#ifndef BROOD_CLI_COMMANDS_H_
#define BROOD_CLI_COMMANDS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace brood {

inline constexpr int kExitOk = 0;
inline constexpr int kExitNegative = 1;  // Some job failed, or the answer is no.
inline constexpr int kExitUsage = 2;
inline constexpr int kExitBroodFailed = 125;
inline constexpr int kExitInterrupted = 130;

int RunMain(const std::vector<std::string>& args);
int CallMain(const std::vector<std::string>& args);
int BatchMain(const std::vector<std::string>& args);
int ServeMain(const std::vector<std::string>& args);
int ListenMain(const std::vector<std::string>& args);
int StatusMain(const std::vector<std::string>& args);
int PolicyMain(const std::vector<std::string>& args);
int DoctorMain(const std::vector<std::string>& args);
int ProbeMain(const std::vector<std::string>& args);

// Prints the error of ParseOptions, or the command's help if that was asked for; returns the exit status.
int ReportUsage(std::string_view command, const absl::Status& status, int usage_exit);

// Prints "brood COMMAND: MESSAGE" to standard error; "brood: MESSAGE" if there is no command yet.
void PrintError(std::string_view command, std::string_view message);

// Writes results to standard output; false if that failed.
bool PrintOut(std::string_view text);

}  // namespace brood

#endif  // BROOD_CLI_COMMANDS_H_
