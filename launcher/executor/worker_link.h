// The pool's side of one worker: its process, its stream, its journal, and the chunk that it works on. Not for users.
//
// Under the pool's lock, all of it.
#ifndef BROOD_LAUNCHER_EXECUTOR_WORKER_LINK_H_
#define BROOD_LAUNCHER_EXECUTOR_WORKER_LINK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "launcher/executor/births.h"
#include "launcher/executor/protocol.h"
#include "launcher/executor/task.h"
#include "launcher/executor/worker_journal.h"
#include "launcher/executor/worker_stream.h"

namespace brood::internal {

// What a worker's journal says of the chunk that it was given.
struct JournalState {
  bool began = false;    // The worker has read that there is such a chunk.
  uint32_t done = 0;     // Calls of it that have ended.
  std::string bytes;     // The results of those of them that were not received.
  int64_t began_ns = 0;  // When the running call began; 0 if that is not known.
};

class WorkerLink {
 public:
  enum class Phase { kStarting, kIdle, kBusy, kRetiring };

  // The ends of a worker that is to be born.
  struct Ends {
    UniqueFd stream;
    UniqueFd journal;
  };
  // Makes the pool's ends in the new link, and gives the worker's.
  static absl::StatusOr<Ends> MakeEnds(WorkerLink& link);

  // Gives the chunk's next calls, at most `budget`, to the worker. What the stream does not take now follows with
  // GoOnSending; nothing is said of a worker that has gone, its sentinel tells.
  void Give(std::shared_ptr<Task> next, uint64_t budget);
  // Asks the worker to make no further call of what it was given. It says so with kStopped, unless it was at its end.
  void Stop();
  bool sending() const { return sent < SendBytes(); }
  void GoOnSending();

  // Reads what has come. `more`: there may be more. Errors: OutOfRange (end of the stream).
  absl::Status Receive(bool& more);
  void Append(std::string_view bytes);  // Likewise, read by somebody else.
  // The next whole reply; nothing if there is none yet. Its body goes to `body`. Errors: DataLoss.
  absl::StatusOr<std::optional<PoolReply>> NextReply(uint64_t max_result_bytes, std::string& body);

  JournalState ReadJournal() const;

  uint64_t id = 0;
  Phase phase = Phase::kStarting;
  std::unique_ptr<WorkerProcess> process;
  std::unique_ptr<WorkerStream> stream;
  std::unique_ptr<WorkerJournal> journal;
  uint64_t calls_done = 0;
  int64_t born_ns = 0;

  // Who reads the stream: the supervisor if it is watched; the thread that waits for the task's result if it is lent;
  // else whoever looks next. Nobody any more once it is closed.
  bool watched = false;
  bool lent = false;
  bool closed = false;

  int64_t deadline_ns = INT64_MAX;  // Look whether the running call has had its time.
  int64_t kill_ns = INT64_MAX;      // Kill the tree, whatever it does.

  std::shared_ptr<Task> task;      // kBusy only.
  uint32_t received = 0;           // Calls of it that have results here.
  uint32_t end = 0;                // The calls of it that the worker was given.
  absl::Status verdict;            // Not OK: why the pool ends the worker; the running call gets it.
  uint32_t seen_done = 0;          // Calls of it that had ended when its deadline was looked at last,
  int64_t call_began_ns = 0;       // and when the one after them began.
  std::optional<uint32_t> blamed;  // The call that was running when the verdict fell.

 private:
  void WriteStop(uint64_t request);
  void DropWhatWasRead();
  size_t SendBytes() const { return head.size() + (task != nullptr ? task->arguments.size() : 0); }

  bool stop_written = false;
  std::string head;  // Of the request that is being sent: all but the arguments.
  size_t sent = 0;
  std::string in;  // Received, and not yet a whole reply.
  size_t in_begin = 0;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_WORKER_LINK_H_
