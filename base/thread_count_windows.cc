#include <windows.h>
// After windows.h, whose types it needs.
#include <tlhelp32.h>

#include "base/thread_count.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"

namespace brood {

absl::StatusOr<int> ThreadCount() {
  const UniqueFd snapshot = Own(CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0));
  if (!snapshot.valid()) return LastErrorStatus("CreateToolhelp32Snapshot");
  const DWORD self = GetCurrentProcessId();
  THREADENTRY32 entry = {};
  entry.dwSize = sizeof(entry);
  int count = 0;
  for (BOOL more = Thread32First(HandleOf(snapshot.get()), &entry); more; more = Thread32Next(HandleOf(snapshot.get()), &entry)) {
    if (entry.th32OwnerProcessID == self) ++count;
  }
  return count;
}

bool IsKnownToBeAlone() { return false; }

}  // namespace brood
