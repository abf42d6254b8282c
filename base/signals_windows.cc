#include "absl/strings/str_cat.h"
#include "base/signals.h"

namespace brood {

int LastSignal() { return 64; }  // As on Linux, whose numbers these are.

std::string SignalName(int signal) {
  switch (signal) {
    case kSignalKill:
      return "SIGKILL";
    case kSignalTerminate:
      return "SIGTERM";
    case kSignalCpuTime:
      return "SIGXCPU";
    case kSignalFileSize:
      return "SIGXFSZ";
    case kSignalSystemCall:
      return "SIGSYS";
    default:
      return "";
  }
}

std::string SignalText(int signal) {
  std::string name = SignalName(signal);
  return name.empty() ? absl::StrCat("signal ", signal) : name;
}

}  // namespace brood
