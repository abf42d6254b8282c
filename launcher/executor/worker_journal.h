// The pool's view of a worker's journal (protocol.h): worker_journal_linux.cc, worker_journal_windows.cc. Not for users.
//
// What a worker does to the memory harms it alone.
#ifndef BROOD_LAUNCHER_EXECUTOR_WORKER_JOURNAL_H_
#define BROOD_LAUNCHER_EXECUTOR_WORKER_JOURNAL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "launcher/executor/protocol.h"

namespace brood::internal {

class WorkerJournal {
 public:
  // `*worker` is for a child.
  static absl::StatusOr<std::unique_ptr<WorkerJournal>> Make(UniqueFd* worker);
  virtual ~WorkerJournal() = default;

  // As JournalHeader, word by word.
  using Words = std::array<uint64_t, sizeof(JournalHeader) / sizeof(uint64_t)>;

  // False: it is not there any more. At most kJournalRoom bytes of results.
  virtual bool ReadHeader(Words& words) const = 0;
  virtual bool ReadResults(char* to, size_t size) const = 0;
  // Not to be written where the worker has cut it short: that is its own loss.
  virtual void WriteStop(uint64_t request) = 0;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_WORKER_JOURNAL_H_
