// The `brood` program: finds the command and hands it the rest of the words.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "batch/suggest.h"
#include "bootstrap/bootstrap.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/program.h"
#include "tools/version/version.h"

namespace brood {
namespace {

int HelpMain(const std::vector<std::string>& args) {
  const bool plain = args.empty() || args[0] == "--help" || args[0] == "-h";
  const std::string topic = plain ? "brood" : args[0];
  const std::string text = HelpText(topic);
  if (!text.empty()) return PrintOut(text) ? kExitOk : kExitBroodFailed;
  PrintError("help", absl::StrCat("no topic \"", topic, "\"", DidYouMean(topic, HelpTopics())));
  return kExitUsage;
}

int Main(const std::vector<std::string>& words) {
  if (words.empty()) {
    PrintError("", absl::StrCat("a command is missing\n", HelpText("brood")));
    return kExitUsage;
  }
  const std::string& command = words[0];
  const std::vector<std::string> args(words.begin() + 1, words.end());
  if (const Command found = FindCommand(command)) return found(args);
  if (command == "help" || command == "--help" || command == "-h") return HelpMain(args);
  if (command == "--version")
    return PrintOut(absl::StrCat("brood ", VersionString(), "\n")) ? kExitOk : kExitBroodFailed;
  const bool is_option = !command.empty() && command[0] == '-';
  const std::string suggestion = DidYouMean(
      command, is_option ? std::vector<std::string>{"--help", "--version"} : CommandNames());
  PrintError("", absl::StrCat(is_option ? "the command comes before its options; unknown here: " : "no such command: ",
                              command, suggestion, "\nbrood help lists the commands"));
  return kExitUsage;
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) {
  if (const int refused = brood::PrepareProgram(); refused != brood::kExitOk) return refused;
  brood::Bootstrap(argc, argv);  // As the child of a `brood call` it does not return.
  return brood::Main(brood::CommandLineWords(argc, argv));
}
