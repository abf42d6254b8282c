// What an executor and a worker say to each other, over a stream that the worker uses as a file: a socket with
// read(2) and write(2), since those are the calls that every policy allows, or a pipe (Windows).
//
//   executor -> worker   PoolRequest | target's name | its signature | arguments
//   worker -> executor   PoolReply | body
//
// A request is a chunk: one function and the arguments of one call or many. Arguments and results of each call begin
// with their size, so that one that is damaged does not take the others with it. A chunk is answered by one or more
// replies, each with the results of the next calls.
//
// Results that were not sent yet are in the journal, memory that both have: a worker that is killed in the middle of a
// chunk loses none of them, and it is known which call was running.
#ifndef BROOD_LAUNCHER_EXECUTOR_PROTOCOL_H_
#define BROOD_LAUNCHER_EXECUTOR_PROTOCOL_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace brood::internal {

inline constexpr uint32_t kPoolMagic = 0x31455242;  // "BRE1" as it lies in memory.

struct PoolRequest {
  uint32_t magic = kPoolMagic;
  uint32_t name_bytes = 0;
  uint32_t signature_bytes = 0;
  uint32_t first = 0;  // The calls [first, end) of those that the arguments are for are to be made.
  uint32_t end = 0;
  uint32_t timed = 0;  // The journal must say when each call began.
  uint64_t task = 0;
  uint64_t argument_bytes = 0;
};

enum class PoolReplyKind : uint32_t {
  kReady = 1,              // The worker is there, its initialiser has run.
  kInitializerFailed = 2,  // The body is a Result with the error.
  kResults = 3,
  kStopped = 4,  // As the journal asked: the calls of the request from `first` on were not made.
};

struct PoolReply {
  uint32_t magic = kPoolMagic;
  PoolReplyKind kind = PoolReplyKind::kReady;
  uint64_t task = 0;
  uint32_t first = 0;
  uint32_t count = 0;
  uint64_t body_bytes = 0;
};

// Before the result of each call: its size, with this bit if what follows is an error (EncodeResult) and not a value.
inline constexpr uint32_t kPoolErrorBit = uint32_t{1} << 31;

// The beginning of the journal; results follow. The executor writes `stop` only, the worker all else.
struct JournalHeader {
  std::atomic<uint64_t> task = 0;      // Of the request that was read last. 0: none.
  std::atomic<uint64_t> first = 0;     // The call whose result is the first one here.
  std::atomic<uint64_t> progress = 0;  // Calls that have ended << 32 | bytes of results here. One word: never torn.
  std::atomic<uint64_t> began_ns = 0;  // When the running call began: NowNs.
  std::atomic<uint64_t> stop = 0;      // The request of which no further call is to be made. 0: none.
};

// Of the steady clock, which is the same in all processes: CLOCK_MONOTONIC, QueryPerformanceCounter.
inline int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline constexpr size_t kJournalBytes = size_t{256} << 10;
inline constexpr size_t kJournalRoom = kJournalBytes - sizeof(JournalHeader);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_PROTOCOL_H_
