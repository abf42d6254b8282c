// A queue of byte strings in shared memory: what Queue<T> (queue.h) is made of. Not for users.
#ifndef BROOD_IPC_QUEUE_MEMORY_H_
#define BROOD_IPC_QUEUE_MEMORY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "ipc/deadline.h"
#include "ipc/region.h"

namespace brood {

struct QueueOptions {
  uint64_t max_items = 0;                  // How many may wait in the queue; 0: as many as fit.
  uint64_t max_bytes = uint64_t{1} << 20;  // The queue's memory: each item takes its bytes and 4 more.
};

namespace internal {

struct QueueShared;

class QueueMemory {
 public:
  QueueMemory() = default;

  // `type` says what is in it ("int32"), so that both sides agree.
  static absl::StatusOr<QueueMemory> Create(const QueueOptions& options, std::string_view type, bool joinable);
  static absl::StatusOr<QueueMemory> Attach(UniqueFd fd, std::string_view type, bool joinable);
  absl::StatusOr<UniqueFd> Descriptor() const;

  // Both give `otherwise` when the deadline has passed.
  absl::Status Put(std::string_view item, const Deadline& deadline, absl::StatusCode otherwise) const;
  absl::StatusOr<std::string> Get(const Deadline& deadline, absl::StatusCode otherwise) const;

  absl::StatusOr<uint64_t> Size() const;
  absl::Status Close() const;

  absl::Status TaskDone() const;
  absl::Status Join(const Deadline& deadline) const;
  absl::StatusOr<uint64_t> Recover() const;

 private:
  QueueMemory(std::shared_ptr<Region> region, QueueShared* shared) : region_(std::move(region)), shared_(shared) {}
  uint64_t capacity() const { return region_->parameters()[0]; }
  uint64_t max_items() const { return region_->parameters()[1]; }
  bool joinable() const { return region_->parameters()[2] != 0; }

  std::shared_ptr<Region> region_;
  QueueShared* shared_ = nullptr;
};

}  // namespace internal
}  // namespace brood

#endif  // BROOD_IPC_QUEUE_MEMORY_H_
