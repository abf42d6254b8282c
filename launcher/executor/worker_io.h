// What a worker does with the system: worker_io_linux.cc, worker_io_windows.cc. Not for users.
#ifndef BROOD_LAUNCHER_EXECUTOR_WORKER_IO_H_
#define BROOD_LAUNCHER_EXECUTOR_WORKER_IO_H_

#include <cstddef>
#include <string_view>

#include "absl/status/statusor.h"

namespace brood::internal {

// Waits until something has come, at most `size` bytes, and says how much; 0 at the end of the stream, however it came.
size_t ReadSome(int stream, char* to, size_t size);

// As much of it as somebody takes.
void WriteAll(int stream, std::string_view bytes);

// The memory of kJournalBytes that the pool has made, for as long as the worker lives.
absl::StatusOr<void*> MapJournal(int journal);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_WORKER_IO_H_
