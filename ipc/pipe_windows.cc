#include <windows.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "base/windows_text.h"
#include "ipc/pipe.h"

namespace brood {

// A named pipe, because the nameless ones of CreatePipe are one-way and cannot be waited for with a deadline. Nobody can guess
// its name, it takes one peer, and from this machine only.
absl::StatusOr<std::pair<Connection, Connection>> Pipe(const PipeOptions& options) {
  const bool one_way = options.kind == PipeKind::kOneWay;
  uint64_t random[2] = {};
  BROOD_RETURN_IF_ERROR(FillRandom(random, sizeof(random)));
  BROOD_ASSIGN_OR_RETURN(const std::wstring name, ToWide(absl::StrCat("\\\\.\\pipe\\brood-", GetCurrentProcessId(), "-", absl::Hex(random[0]),
                                                                      absl::Hex(random[1])), "pipe"));
  constexpr DWORD kBuffer = 64 << 10;
  // The kernel keeps the direction too, whoever gets the handle.
  UniqueFd first_fd = Own(CreateNamedPipeW(
      name.c_str(), (one_way ? PIPE_ACCESS_INBOUND : PIPE_ACCESS_DUPLEX) | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
      PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS, 1, kBuffer, kBuffer, 0, nullptr));
  if (!first_fd.valid()) return LastErrorStatus("CreateNamedPipe");
  UniqueFd second_fd = Own(CreateFileW(name.c_str(), one_way ? GENERIC_WRITE : GENERIC_READ | GENERIC_WRITE, 0, nullptr,
                                       OPEN_EXISTING, FILE_FLAG_OVERLAPPED, nullptr));
  // Somebody else has been there first: then there is no second place.
  if (!second_fd.valid()) return LastErrorStatus("open", "the other end of the pipe");
  ConnectionOptions first = options.connection;
  ConnectionOptions second = options.connection;
  first.direction = one_way ? Direction::kReceiveOnly : Direction::kDuplex;
  second.direction = one_way ? Direction::kSendOnly : Direction::kDuplex;
  std::pair<Connection, Connection> ends;
  BROOD_ASSIGN_OR_RETURN(ends.first, Connection::Adopt(std::move(first_fd), first));
  BROOD_ASSIGN_OR_RETURN(ends.second, Connection::Adopt(std::move(second_fd), second));
  return ends;
}

}  // namespace brood
