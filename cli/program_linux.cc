#include <fcntl.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/demo.h"
#include "cli/program.h"
#include "sandbox/cgroup_leaf.h"

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

// A command that starts children, with room for their cgroups.
template <Command kCommand>
int Launching(const std::vector<std::string>& args) {
  const CgroupLeaf leaf;
  return kCommand(args);
}

}  // namespace

Command FindCommand(std::string_view name) {
  if (name == "run") return Launching<RunMain>;
  if (name == "call") return Launching<CallMain>;
  if (name == "batch") return Launching<BatchMain>;
  if (name == "serve") return Launching<ServeMain>;
  if (name == "listen") return Launching<ListenMain>;
  if (name == "status") return StatusMain;
  if (name == "policy") return PolicyMain;
  if (name == "doctor") return Launching<DoctorMain>;  // It tells what the others would find.
  if (name == "probe") return ProbeMain;
  if (name == "demo") return Launching<DemoMain>;
  return nullptr;
}

int PrepareProgram() {
  HoldClosedStreams();
  if (!RunsSetId()) return kExitOk;
  PrintError("", "refuses to run set-user-id or set-group-id: remove the bit from the program (chmod ug-s)");
  return kExitBroodFailed;
}

std::vector<std::string> CommandLineWords(int argc, char** argv) { return {argv + 1, argv + argc}; }

}  // namespace brood
