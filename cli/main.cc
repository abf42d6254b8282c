// The `brood` program: finds the command and hands it the rest of the words.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "batch/suggest.h"
#include "cli/commands.h"
#include "cli/demo.h"
#include "cli/help.h"
#include "tools/version/version.h"

namespace brood {
namespace {

int HelpMain(const std::vector<std::string>& args) {
  const std::string topic = args.empty() ? "brood" : args[0];
  const std::string text = HelpText(topic);
  if (!text.empty()) return PrintOut(text) ? kExitOk : kExitBroodFailed;
  PrintError("help", absl::StrCat("no topic \"", topic, "\"", DidYouMean(topic, HelpTopics())));
  return kExitUsage;
}

int Main(const std::vector<std::string>& words) {
  if (words.empty()) {
    PrintError("help", absl::StrCat("a command is missing\n", HelpText("brood")));
    return kExitUsage;
  }
  const std::string& command = words[0];
  const std::vector<std::string> args(words.begin() + 1, words.end());
  if (command == "run") return RunMain(args);
  if (command == "batch") return BatchMain(args);
  if (command == "status") return StatusMain(args);
  if (command == "policy") return PolicyMain(args);
  if (command == "doctor") return DoctorMain(args);
  if (command == "demo") return DemoMain(args);
  if (command == "help" || command == "--help" || command == "-h") return HelpMain(args);
  if (command == "--version")
    return PrintOut(absl::StrCat("brood ", VersionString(), "\n")) ? kExitOk : kExitBroodFailed;
  PrintError(command,
             absl::StrCat("no such command", DidYouMean(command, CommandNames()), "\nbrood help lists the commands"));
  return kExitUsage;
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) { return brood::Main(std::vector<std::string>(argv + 1, argv + argc)); }
