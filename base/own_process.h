// What this process is to the system.
#ifndef BROOD_BASE_OWN_PROCESS_H_
#define BROOD_BASE_OWN_PROCESS_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace brood {

int OwnProcessNumber();
uint32_t OwnThreadNumber();

// The highest exit code that a process can have: 255, on Windows 32 bits.
int64_t HighestExitCode();

// For tools that list processes; at most 15 bytes of it count. Nothing on Windows.
void SetOwnProcessName(const std::string& name);

// One write, so that the lines of several processes do not mix.
void WriteToStderr(std::string_view text);

// For a thread that has nothing to do any more while another one ends the process.
[[noreturn]] void SleepForEver();

// Ends the process without its exit handlers, and without flushing anything.
[[noreturn]] void EndOwnProcess(int code);

}  // namespace brood

#endif  // BROOD_BASE_OWN_PROCESS_H_
