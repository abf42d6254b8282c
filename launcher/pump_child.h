// Passes a child's output on and counts it. Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_PUMP_CHILD_H_
#define BROOD_LAUNCHER_PUMP_CHILD_H_

#include <poll.h>

#include <cstddef>
#include <cstdint>

#include "launcher/launch_record.h"

namespace brood::child {

// The two streams of one child, and the bytes that both may have together.
class Pump {
 public:
  static constexpr size_t kBufferSize = 64 * 1024;  // What a pipe holds. pipe(7)

  // `buffers`: two of kBufferSize, borrowed. Null: those of this process, of which one pump can have them.
  Pump(StreamRecord* streams, bool limited, uint64_t limit_bytes, char* buffers = nullptr);

  // Adds what to wait for to `polls`; returns how many entries were added (at most two).
  size_t AddPolls(pollfd* polls);

  // Moves what can be moved without blocking. `polls` as filled by AddPolls, after poll(2).
  void Move(const pollfd* polls, size_t count);

  // True once more was written than the limit allows. What is below the limit is still passed on.
  bool over_limit() const { return over_limit_; }

  // After the child's end: reads what its pipes still hold, without waiting. True if something is to be passed on, for
  // which AddPolls and Move wait and write.
  bool ReadRest();

  // Drops what nobody takes, and says so of the stream.
  void GiveUp();

  uint64_t bytes(int stream) const { return state_[stream].bytes; }
  bool truncated(int stream) const { return state_[stream].truncated; }
  // Nothing more is read of it: it has ended, or its sink takes no more.
  bool ended(int stream) const { return !state_[stream].open; }
  // Why its sink took no more, such as ENOSPC. 0: it took all, or its reader had gone.
  int error(int stream) const { return state_[stream].error; }

 private:
  struct State {
    StreamRecord* record = nullptr;
    uint64_t bytes = 0;
    uint64_t kept = 0;
    uint64_t copied = 0;
    size_t begin = 0;  // Of what is in the buffer and not yet passed on.
    size_t end = 0;
    bool open = false;
    bool truncated = false;
    int error = 0;
    bool direct = false;  // The sink never blocks: a regular file or a memfd.
    char* buffer = nullptr;
  };
  bool Read(State* state);  // False if there was nothing to read.
  void Write(State* state);
  void Drop(State* state);
  void MaybeEnd(State* state);

  State state_[2];
  bool limited_;
  bool over_limit_ = false;
  uint64_t left_;
};

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_PUMP_CHILD_H_
