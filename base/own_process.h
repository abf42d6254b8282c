// What this process is to the system.
#ifndef BROOD_BASE_OWN_PROCESS_H_
#define BROOD_BASE_OWN_PROCESS_H_

#include <cstdint>

namespace brood {

int OwnProcessNumber();
uint32_t OwnThreadNumber();

// The highest exit code that a process can have: 255, on Windows 32 bits.
int64_t HighestExitCode();

// Ends the process without its exit handlers, and without flushing anything.
[[noreturn]] void EndOwnProcess(int code);

}  // namespace brood

#endif  // BROOD_BASE_OWN_PROCESS_H_
