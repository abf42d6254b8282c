// Names under which processes find shared memory: what shm_open(3) does, without a file system.
//
//   BROOD_ASSIGN_OR_RETURN(auto names, brood::Names::Create());         // In one process, once.
//   BROOD_ASSIGN_OR_RETURN(auto table, names.CreateMemory("table", 1 << 20));
//   context.Start(Work, names);                                         // void Work(const brood::Names& names)
//   absl::StatusOr<SharedMemory> table = names.OpenMemory("table");     // There.
//
// A handle, passed as an argument with any start method, or over a Connection: who has no handle sees no names. They live
// in a small process, the broker, which holds a descriptor of each memory and nothing of whoever started it. It ends
// when the last handle is gone, in whichever way, and the names and unopened memory with it: nothing ever stays behind.
//
// Memory that has a name lives until Unlink, or the broker's end; who has opened it keeps it beyond both. If the broker is
// killed, the names are lost (Unavailable) and open memory stays. The broker of a process that brood started belongs to
// that one's tree, and ends with it: create the names in the process that lives longest.
//
// A name is 1 to 255 bytes, of any kind. A broker has room for kMaxNames names and kMaxHolders handles; a copy within a
// process is no new one. Who has a handle may use up that room, and unlink what others have created; but being silent,
// slow, or sending garbage harms nobody else. In the policy `strict` the system calls socketpair, sendmsg, recvmsg and
// getsockopt must be allowed.
//
// Thread-safe. Errors, with the same meaning in all functions:
//   Unavailable         the broker has ended
//   DeadlineExceeded    the broker has not answered for 30 s
//   InvalidArgument     no such name can be
//   ResourceExhausted   no room for another name or handle, or no memory or descriptors here
//   FailedPrecondition  the handle is empty, or was only inherited by a fork
#ifndef BROOD_IPC_NAMES_H_
#define BROOD_IPC_NAMES_H_

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "ipc/shared_memory.h"
#include "ipc/shared_object.h"

namespace brood {

class Names {
 public:
  static constexpr size_t kMaxNameBytes = 255;
  static constexpr size_t kMaxNames = 1024;
  static constexpr size_t kMaxHolders = 1024;

  Names() = default;  // Empty: every call is FailedPrecondition.

  // Starts a broker, with this program's executable: FailedPrecondition if main has not called Bootstrap.
  static absl::StatusOr<Names> Create();

  // New memory under a name that is free. Errors: AlreadyExists; those of SharedMemory::Create.
  absl::StatusOr<SharedMemory> CreateMemory(std::string_view name, size_t size) const;

  // The memory that has the name now. Errors: NotFound.
  absl::StatusOr<SharedMemory> OpenMemory(std::string_view name) const;

  // Frees the name; who has the memory keeps it. Errors: NotFound.
  absl::Status Unlink(std::string_view name) const;

  // A new channel to the broker, to pass on: each process has one of its own, so that none can cut off another.
  absl::StatusOr<UniqueFd> Descriptor() const;
  static absl::StatusOr<Names> FromDescriptor(UniqueFd fd);

  static void DescribeTo(internal::Description& to) { to.Word("names"); }

 private:
  struct Channel;
  explicit Names(std::shared_ptr<const Channel> channel) : channel_(std::move(channel)) {}

  std::shared_ptr<const Channel> channel_;
};

}  // namespace brood

#endif  // BROOD_IPC_NAMES_H_
