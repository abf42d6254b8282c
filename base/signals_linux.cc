#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/signals.h"

namespace brood {

static_assert(kSignalKill == SIGKILL && kSignalTerminate == SIGTERM && kSignalCpuTime == SIGXCPU &&
              kSignalFileSize == SIGXFSZ && kSignalSystemCall == SIGSYS);

int LastSignal() { return SIGRTMAX; }

std::string SignalName(int signal) {
  const char* const name = sigabbrev_np(signal);
  return name != nullptr ? absl::StrCat("SIG", name) : "";
}

std::string SignalText(int signal) {
  std::string name = SignalName(signal);
  return name.empty() ? absl::StrCat("signal ", signal) : name;
}

}  // namespace brood
