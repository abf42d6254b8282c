// The output of a program whose keeper a client has leased: read from its pipes, counted, and written to what never makes a writer
// wait. What the supervisor does for others is done by launcher/pump_child.h.
//
// Child-safe: see base/child_safe.h. Raw system calls only, as all that a keeper does.
#ifndef BROOD_FORKSERVER_OUTPUT_CHILD_H_
#define BROOD_FORKSERVER_OUTPUT_CHILD_H_

#include <poll.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "forkserver/request.h"

namespace brood::child {

// What an order says of it, in SendOptions::words.
struct OutputOrder {
  static constexpr uint64_t kAll = UINT64_MAX;

  struct Stream {
    static constexpr uint8_t kNone = UINT8_MAX;
    uint8_t pipe = kNone;  // Where in the order's descriptors: a read end that does not wait.
    uint8_t sink = kNone;
    uint64_t keep_bytes = kAll;  // The rest is counted and dropped.
  };
  Stream streams[2];
  uint64_t limit_bytes = kAll;  // That both may have together.

  std::array<uint64_t, 4> Encode() const;
  static OutputOrder Decode(const std::array<uint64_t, 4>& words);
};

class Output {
 public:
  // Of an order that has just come. Its descriptors are this object's then; a pipe without a sink is none of ours.
  void Begin(const brood::internal::RawRequest& order);

  bool Owns(int fd) const;

  // Two entries; ppoll(2) passes over those that are not to be waited for.
  void AddPolls(pollfd* polls) const;
  void Move(const pollfd* polls);

  // More was written than the order allows. What is below that is kept.
  bool over_limit() const { return over_limit_; }

  // Once all have ended that could write, or should have: what the pipes still hold. Closes all.
  void End();

  uint64_t bytes(int stream) const { return streams_[stream].bytes; }
  bool truncated(int stream) const { return streams_[stream].truncated; }
  int error(int stream) const { return streams_[stream].error; }

 private:
  struct Stream {
    int pipe = -1;
    int sink = -1;
    uint64_t room = 0;
    uint64_t bytes = 0;
    bool truncated = false;
    int error = 0;  // Why the sink took no more.
  };
  bool Read(Stream& stream);  // Whether there may be more.
  static void Close(int& fd);

  Stream streams_[2];
  uint64_t left_ = 0;
  bool over_limit_ = false;
};

}  // namespace brood::child

#endif  // BROOD_FORKSERVER_OUTPUT_CHILD_H_
