#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "launcher/executor/supervisor_thread.h"

namespace brood::internal {

absl::Status SupervisorThread::Start(std::function<void()> body) {
  try {
    thread_ = std::thread(std::move(body));
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(absl::StrCat("start the executor's thread: ", error.what()));
  }
  return absl::OkStatus();
}

void SupervisorThread::AwaitEnd() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!thread_.joinable() || thread_.get_id() == std::this_thread::get_id()) return;
  thread_.join();
}

}  // namespace brood::internal
