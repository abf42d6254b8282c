#include "ipc/pipe_handles.h"

#include <windows.h>

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "base/windows_text.h"

namespace brood::internal {

// A named pipe, because the nameless ones of CreatePipe are one-way and cannot be waited for with a deadline. Nobody can guess
// its name, it takes one peer, and from this machine only.
absl::StatusOr<PipeHandles> NewPipeHandles(const PipeHandlesOptions& options) {
  const bool one_way = options.ways == PipeHandlesOptions::Ways::kSecondToFirst;
  uint64_t random[2] = {};
  BROOD_RETURN_IF_ERROR(FillRandom(random, sizeof(random)));
  BROOD_ASSIGN_OR_RETURN(const std::wstring name, ToWide(absl::StrCat("\\\\.\\pipe\\brood-", GetCurrentProcessId(), "-", absl::Hex(random[0]),
                                                                      absl::Hex(random[1])), "pipe"));
  constexpr DWORD kBuffer = 64 << 10;
  PipeHandles ends;
  // The kernel keeps the direction too, whoever gets the handle.
  ends.first = Own(CreateNamedPipeW(
      name.c_str(), (one_way ? PIPE_ACCESS_INBOUND : PIPE_ACCESS_DUPLEX) | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
      PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS, 1, kBuffer, kBuffer, 0, nullptr));
  if (!ends.first.valid()) return LastErrorStatus("CreateNamedPipe");
  const DWORD transfers = options.second == PipeTransfers::kOverlapped ? FILE_FLAG_OVERLAPPED : 0;
  ends.second = Own(CreateFileW(name.c_str(), one_way ? GENERIC_WRITE : GENERIC_READ | GENERIC_WRITE, 0, nullptr, OPEN_EXISTING,
                                transfers, nullptr));
  // Somebody else has been there first: then there is no second place.
  if (!ends.second.valid()) return LastErrorStatus("open", "the other end of the pipe");
  return ends;
}

}  // namespace brood::internal
