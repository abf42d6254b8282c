#include <windows.h>

#include "base/windows_handle.h"
#include "bootstrap/parent_handle.h"
#include "bootstrap/setup_report.h"

namespace brood::internal {

bool ReportSetup(int setup_handle, const SetupMessage& message) {
  if (setup_handle < 0) return true;
  DWORD written = 0;
  return WriteFile(HandleOf(setup_handle), &message, sizeof(message), &written, nullptr) && written == sizeof(message);
}

int ParentSentinel(const ProcessData& process) {
  for (const auto& [number, purpose] : process.handles) {
    if (purpose == kParentHandle) return number;
  }
  return -1;
}

}  // namespace brood::internal
