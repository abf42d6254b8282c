#include <windows.h>

#include "base/windows_handle.h"
#include "tests/conformance/executor.h"

namespace brood {

// As a crash does it: nothing of this process runs any more.
void Die() { TerminateProcess(GetCurrentProcess(), static_cast<UINT>(kDeathCode)); }
const int64_t kDeathCode = 0xC0000005;

void EndOther(int pid) {
  const UniqueFd process = Own(OpenProcess(PROCESS_TERMINATE, FALSE, static_cast<DWORD>(pid)));
  EXPECT_TRUE(process.valid());
  EXPECT_TRUE(TerminateProcess(HandleOf(process.get()), static_cast<UINT>(kDeathCode)));
}

}  // namespace brood
