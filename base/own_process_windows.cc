#include <windows.h>

#include "base/own_process.h"

namespace brood {

int OwnProcessNumber() { return static_cast<int>(GetCurrentProcessId()); }
uint32_t OwnThreadNumber() { return GetCurrentThreadId(); }

int64_t HighestExitCode() { return 0xffffffff; }

void EndOwnProcess(int code) {
  // Not ExitProcess, which lets each DLL do its work at the end while other threads are gone, with the locks that they held.
  TerminateProcess(GetCurrentProcess(), static_cast<UINT>(code));
  for (;;) Sleep(INFINITE);
}

}  // namespace brood
