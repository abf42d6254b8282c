#include <windows.h>

#include <algorithm>

#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "launcher/executor/protocol.h"
#include "launcher/executor/worker_io.h"

namespace brood::internal {
namespace {

constexpr size_t kAtOnce = size_t{1} << 30;

}  // namespace

size_t ReadSome(int stream, char* to, size_t size) {
  DWORD count = 0;
  if (!ReadFile(HandleOf(stream), to, static_cast<DWORD>(std::min(size, kAtOnce)), &count, nullptr)) return 0;
  return count;
}

void WriteAll(int stream, std::string_view bytes) {
  while (!bytes.empty()) {
    DWORD count = 0;
    // The pool has gone, or does not listen any more: it ends this process.
    if (!WriteFile(HandleOf(stream), bytes.data(), static_cast<DWORD>(std::min(bytes.size(), kAtOnce)), &count, nullptr)) return;
    bytes.remove_prefix(count);
  }
}

absl::StatusOr<void*> MapJournal(int journal) {
  void* const memory = MapViewOfFile(HandleOf(journal), FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, kJournalBytes);
  if (memory == nullptr) return LastErrorStatus("MapViewOfFile", "the worker's journal");
  return memory;
}

}  // namespace brood::internal
