#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "batch/text.h"
#include "cli/commands.h"
#include "cli/help.h"

namespace brood {

void PrintError(std::string_view command, std::string_view message) {
  std::string text = absl::StrCat("brood", command.empty() ? "" : " ", command, ": ");
  // Names of files, programs and the like are in it, which others may have chosen.
  for (const std::string_view line : absl::StrSplit(message, '\n')) absl::StrAppend(&text, Printable(line), "\n");
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
