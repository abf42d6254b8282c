// The one string that a Windows program gets in place of an argument vector.
//
// Quoted so that CommandLineToArgvW and the C runtime of Microsoft, which read it by the same rules, give `argv` again:
// "Parsing C command-line arguments" of Microsoft's documentation. What cannot be quoted is an error: a program that reads its
// command line by other rules, as cmd.exe does for batch files, would take arguments for commands.
#ifndef BROOD_LAUNCHER_COMMAND_LINE_WINDOWS_H_
#define BROOD_LAUNCHER_COMMAND_LINE_WINDOWS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace brood::internal {

// With its terminating zero, what CreateProcessW takes.
inline constexpr size_t kMaxCommandLine = 32767;

// Errors: InvalidArgument (not UTF-8; a zero byte; argv[0] has a quotation mark, for which there is no quoting; too long).
absl::StatusOr<std::wstring> CommandLine(const std::vector<std::string>& argv);

// Errors: InvalidArgument (a batch file).
absl::Status CheckNoBatchFile(std::wstring_view path);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_COMMAND_LINE_WINDOWS_H_
