#include <windows.h>
// After windows.h, whose types it needs.
#include <winternl.h>

#include <string_view>

#include "base/windows_handle.h"
#include "ipc/descriptor_leaks.h"

namespace brood {
namespace {

bool IsOfALock(HANDLE handle) {
  constexpr int kObjectTypeInformation = 2;
  using Query = LONG(NTAPI*)(HANDLE, int, void*, ULONG, ULONG*);
  static const auto query = reinterpret_cast<Query>(
      reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "NtQueryObject")));
  struct {
    UNICODE_STRING name;
    char rest[1024];
  } type = {};
  ULONG size = 0;
  if (query(handle, kObjectTypeInformation, &type, sizeof(type), &size) < 0) return false;
  const std::wstring_view name(type.name.Buffer, type.name.Length / sizeof(wchar_t));
  return name == L"Event" || name == L"Semaphore";
}

}  // namespace

// Handles are multiples of four; tests have few.
std::set<int> OpenDescriptors() {
  constexpr int kHighest = 0x4000;
  std::set<int> open;
  DWORD flags = 0;
  for (int handle = 4; handle < kHighest; handle += 4) {
    if (GetHandleInformation(HandleOf(handle), &flags) && !IsOfALock(HandleOf(handle))) open.insert(handle);
  }
  return open;
}

}  // namespace brood
