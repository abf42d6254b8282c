#include "launcher/executor/task.h"

#include <chrono>
#include <cstring>

#include "launcher/executor/outcome_of.h"
#include "launcher/executor/protocol.h"
#include "launcher/result_error.h"
#include "serialization/messages.h"

namespace brood::internal {

void Task::SetState(TaskState to) {
  {
    const std::lock_guard<std::mutex> lock(completion->mutex);
    state = to;
  }
  if (to == TaskState::kDone) completion->changed.notify_all();
}

TaskState Task::State() const {
  const std::lock_guard<std::mutex> lock(completion->mutex);
  return state;
}

bool Task::Wait(absl::Duration wait) const {
  if (creator != ForkGeneration()) return false;
  std::unique_lock<std::mutex> lock(completion->mutex);
  const auto done = [this] { return state == TaskState::kDone; };
  if (wait >= kForEver) {
    completion->changed.wait(lock, done);
    return true;
  }
  return completion->changed.wait_for(lock, absl::ToChronoNanoseconds(wait), done);
}

bool TakeResult(std::string_view& bytes, std::string_view& value, absl::Status& error) {
  uint32_t head = 0;
  if (bytes.size() < sizeof(head)) return false;
  std::memcpy(&head, bytes.data(), sizeof(head));
  const size_t size = head & ~kPoolErrorBit;
  if (bytes.size() - sizeof(head) < size) return false;
  value = bytes.substr(sizeof(head), size);
  bytes.remove_prefix(sizeof(head) + size);
  if ((head & kPoolErrorBit) == 0) return true;
  // Copied, since what is read must be aligned.
  const absl::StatusOr<Result> result = DecodeResult(std::string(value));
  if (!result.ok() || !result->error.has_value()) return false;
  error = ErrorOf(*result->error);
  // The outcome of some other executor's worker, which the function passed on, is not that of its own.
  error.ErasePayload(kOutcomeUrl);
  return !error.ok();
}

}  // namespace brood::internal
