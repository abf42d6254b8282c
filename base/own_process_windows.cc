#include <windows.h>

#include "base/own_process.h"

namespace brood {

int OwnProcessNumber() { return static_cast<int>(GetCurrentProcessId()); }
uint32_t OwnThreadNumber() { return GetCurrentThreadId(); }
int64_t HighestExitCode() { return 0xffffffff; }
void SetOwnProcessName(const std::string& /*name*/) {}

void WriteToStderr(std::string_view text) {
  DWORD written = 0;
  WriteFile(GetStdHandle(STD_ERROR_HANDLE), text.data(), static_cast<DWORD>(text.size()), &written, nullptr);
}

void SleepForEver() {
  for (;;) Sleep(INFINITE);
}

void EndOwnProcess(int code) {
  // Not ExitProcess, which lets each DLL do its work at the end while other threads are gone, with the locks that they held.
  TerminateProcess(GetCurrentProcess(), static_cast<UINT>(code));
  SleepForEver();
}

}  // namespace brood
