#include <unistd.h>

#include "base/own_process.h"

namespace brood {

int OwnProcessNumber() { return getpid(); }
uint32_t OwnThreadNumber() { return static_cast<uint32_t>(gettid()); }
int64_t HighestExitCode() { return 255; }
void EndOwnProcess(int code) { _exit(code); }

}  // namespace brood
