// A bounded queue of typed values for any number of producers and consumers, in any processes.
//
//   BROOD_ASSIGN_OR_RETURN(auto jobs, brood::Queue<std::string>::Create({.max_items = 100}));
//   context.Start(Work, jobs);                 // void Work(const brood::Queue<std::string>& jobs)
//   BROOD_RETURN_IF_ERROR(jobs.Put("a.txt"));
//   BROOD_RETURN_IF_ERROR(jobs.Close());       // Consumers get what is left, and then OutOfRange.
//
// A handle, as Lock: copies are the same queue; thread-safe. T is what can travel (serialization/codec.h), without
// handles: those are passed as arguments or over a Connection. Items lie encoded in memory that all share; there is no
// feeder thread and no pipe, so that an item that was put is there when its producer has died. Items come out in the
// order in which they went in.
//
// Deaths. An operation happens altogether or not at all, whenever a process is killed, and nobody has to recover
// anything: what a consumer had taken when it died is lost, and nothing else. A JoinableQueue knows that: Join gives
// Aborted then.
//
// The queue's type is checked when it is received, not with each item; what another process wrote into the memory is
// checked when it is decoded.
#ifndef BROOD_IPC_QUEUE_H_
#define BROOD_IPC_QUEUE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "ipc/deadline.h"
#include "ipc/queue_memory.h"
#include "ipc/shared_object.h"
#include "serialization/codec.h"

namespace brood {

template <typename T, bool kJoinable>
requires(!internal::kIsStatus<T>) class BasicQueue {
 public:
  BasicQueue() = default;  // Empty handle: every operation is FailedPrecondition.

  // Errors as Lock's; InvalidArgument (no memory for any item; the descriptor of a queue of another type).
  static absl::StatusOr<BasicQueue> Create(const QueueOptions& options = {}) {
    BROOD_ASSIGN_OR_RETURN(auto memory, internal::QueueMemory::Create(options, TypeName<T>(), kJoinable));
    return BasicQueue(std::move(memory));
  }
  static absl::StatusOr<BasicQueue> FromDescriptor(UniqueFd fd) {
    BROOD_ASSIGN_OR_RETURN(auto memory, internal::QueueMemory::Attach(std::move(fd), TypeName<T>(), kJoinable));
    return BasicQueue(std::move(memory));
  }
  absl::StatusOr<UniqueFd> Descriptor() const { return memory_.Descriptor(); }

  // Errors: DeadlineExceeded (full all the time; TryPut: ResourceExhausted, at once), FailedPrecondition (closed),
  //   InvalidArgument (larger than the whole queue, or with handles), DataLoss (another process damaged the queue).
  absl::Status Put(const T& item, absl::Duration timeout = absl::InfiniteDuration()) const {
    return PutItem(item, internal::Deadline(timeout), absl::StatusCode::kDeadlineExceeded);
  }
  absl::Status TryPut(const T& item) const {
    return PutItem(item, internal::Deadline(absl::ZeroDuration()), absl::StatusCode::kResourceExhausted);
  }

  // Errors: DeadlineExceeded (empty all the time; TryGet: Unavailable, at once), OutOfRange (closed and empty: the
  // end),
  //   DataLoss (another process damaged the queue, or this item, which is gone then).
  absl::StatusOr<T> Get(absl::Duration timeout = absl::InfiniteDuration()) const {
    return GetItem(internal::Deadline(timeout), absl::StatusCode::kDeadlineExceeded);
  }
  absl::StatusOr<T> TryGet() const {
    return GetItem(internal::Deadline(absl::ZeroDuration()), absl::StatusCode::kUnavailable);
  }

  // How many items wait.
  absl::StatusOr<uint64_t> Size() const { return memory_.Size(); }

  // For all processes: nothing can be put any more. Closing it again does nothing.
  absl::Status Close() const { return memory_.Close(); }

  // Once for each item that was taken, when it has been dealt with. Errors: FailedPrecondition (more often than that).
  absl::Status TaskDone() const requires kJoinable { return memory_.TaskDone(); }

  // Until each item that was put has been taken and reported done. Errors: DeadlineExceeded, Aborted (a process died
  // with
  //   items that it had taken: nobody will report these).
  absl::Status Join(absl::Duration timeout = absl::InfiniteDuration()) const requires kJoinable {
    return memory_.Join(internal::Deadline(timeout));
  }

  // Counts as done what processes had taken that died; how many items that were.
  absl::StatusOr<uint64_t> Recover() const requires kJoinable { return memory_.Recover(); }

  static void DescribeTo(internal::Description& to) {
    to.Word(kJoinable ? "joinable_queue<" : "queue<");
    to.Add<T>();
    to.Word(">");
  }

 private:
  explicit BasicQueue(internal::QueueMemory memory) : memory_(std::move(memory)) {}

  absl::Status PutItem(const T& item, const internal::Deadline& deadline, absl::StatusCode otherwise) const {
    WireWriter writer;
    Codec<T>::Encode(item, writer);
    if (!writer.TakeHandles().empty()) {
      return absl::InvalidArgumentError(
          "put into queue: the item has handles, which memory cannot carry; pass it as an "
          "argument or over a connection");
    }
    return memory_.Put(writer.Take(), deadline, otherwise);
  }

  absl::StatusOr<T> GetItem(const internal::Deadline& deadline, absl::StatusCode otherwise) const {
    BROOD_ASSIGN_OR_RETURN(const std::string bytes, memory_.Get(deadline, otherwise));
    return DecodeValue<T>(bytes);
  }

  internal::QueueMemory memory_;
};

template <typename T>
using Queue = BasicQueue<T, false>;

// With TaskDone and Join.
template <typename T>
using JoinableQueue = BasicQueue<T, true>;

}  // namespace brood

#endif  // BROOD_IPC_QUEUE_H_
