#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

#include "base/own_process.h"

namespace brood {

int OwnProcessNumber() { return getpid(); }
uint32_t OwnThreadNumber() { return static_cast<uint32_t>(gettid()); }
int64_t HighestExitCode() { return 255; }
void SetOwnProcessName(const std::string& name) { prctl(PR_SET_NAME, name.c_str(), 0, 0, 0); }

void WriteToStderr(std::string_view text) {
  while (write(STDERR_FILENO, text.data(), text.size()) < 0 && errno == EINTR) {
  }
}

void SleepForEver() {
  for (;;) pause();
}

void EndOwnProcess(int code) { _exit(code); }

}  // namespace brood
