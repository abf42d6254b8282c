// The `brood` program: finds the command and hands it the rest of the words.
#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "batch/suggest.h"
#include "bootstrap/bootstrap.h"
#include "cli/commands.h"
#include "cli/demo.h"
#include "cli/help.h"
#include "sandbox/cgroup_leaf.h"
#include "tools/version/version.h"

namespace brood {
namespace {

// A standard stream that the caller has closed stays unusable, for us and for a child that inherits it: it is held open
// in the wrong direction. Else the next file that is opened here, a signalfd or the journal, would be that stream.
void HoldClosedStreams() {
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest free number is `number`, because all below are open by now. open(2). If there is no /dev/null nothing
    // can be done, and nobody told.
    if (fcntl(number, F_GETFD) < 0) (void)open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

// Everything here trusts its caller: environment, descriptors, paths. Whoever lent us rights would lend them to all.
bool RunsSetId() { return getuid() != geteuid() || getgid() != getegid(); }

int HelpMain(const std::vector<std::string>& args) {
  const bool plain = args.empty() || args[0] == "--help" || args[0] == "-h";
  const std::string topic = plain ? "brood" : args[0];
  const std::string text = HelpText(topic);
  if (!text.empty()) return PrintOut(text) ? kExitOk : kExitBroodFailed;
  PrintError("help", absl::StrCat("no topic \"", topic, "\"", DidYouMean(topic, HelpTopics())));
  return kExitUsage;
}

// A command that starts children, with room for their cgroups.
int Launching(int (*command)(const std::vector<std::string>&), const std::vector<std::string>& args) {
  const CgroupLeaf leaf;
  return command(args);
}

int Main(const std::vector<std::string>& words) {
  if (words.empty()) {
    PrintError("", absl::StrCat("a command is missing\n", HelpText("brood")));
    return kExitUsage;
  }
  const std::string& command = words[0];
  const std::vector<std::string> args(words.begin() + 1, words.end());
  if (command == "run") return Launching(RunMain, args);
  if (command == "call") return Launching(CallMain, args);
  if (command == "batch") return Launching(BatchMain, args);
  if (command == "serve") return Launching(ServeMain, args);
  if (command == "status") return StatusMain(args);
  if (command == "policy") return PolicyMain(args);
  if (command == "doctor") return Launching(DoctorMain, args);  // It tells what the others would find.
  if (command == "probe") return ProbeMain(args);
  if (command == "demo") return Launching(DemoMain, args);
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
  brood::HoldClosedStreams();
  if (brood::RunsSetId()) {
    brood::PrintError("", "refuses to run set-user-id or set-group-id: remove the bit from the program (chmod ug-s)");
    return brood::kExitBroodFailed;
  }
  brood::Bootstrap(argc, argv);  // As the child of a `brood call` it does not return.
  return brood::Main(std::vector<std::string>(argv + 1, argv + argc));
}
