#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/help.h"

namespace brood {

void PrintError(std::string_view command, std::string_view message) {
  const std::string text = absl::StrCat("brood", command.empty() ? "" : " ", command, ": ", message, "\n");
  std::fwrite(text.data(), 1, text.size(), stderr);
}

bool PrintOut(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written && errno != EPIPE) PrintError("output", ErrnoText(errno));
  return written;
}

int ReportUsage(std::string_view command, const absl::Status& status, int usage_exit) {
  if (absl::IsCancelled(status)) return PrintOut(HelpText(command)) ? kExitOk : kExitBroodFailed;
  PrintError(command, absl::StrCat(status.message(), "\nbrood ", command, " --help tells more"));
  return usage_exit;
}

}  // namespace brood
