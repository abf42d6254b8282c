// A completion port: it takes any number of streams. What it says of one is only that something was done; what, the stream
// knows (worker_stream_windows.cc), so that a packet of a worker that has gone meanwhile refers to nothing.
#include <windows.h>

#include <iterator>
#include <map>

#include "base/status.h"
#include "base/unique_fd.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "launcher/executor/pool_events.h"

namespace brood::internal {
namespace {

constexpr ULONG_PTR kEnd = 1;  // In a packet's key, below the worker's number.

// Waited for by the thread pool of the process.
struct AwaitedEnd {
  HANDLE port = nullptr;
  ULONG_PTR key = 0;
  HANDLE wait = nullptr;
};

VOID CALLBACK SayEnd(PVOID of, BOOLEAN /*timed_out*/) {
  const auto* const end = static_cast<const AwaitedEnd*>(of);
  PostQueuedCompletionStatus(end->port, 0, end->key, nullptr);
}

class WindowsPoolEvents : public PoolEvents {
 public:
  ~WindowsPoolEvents() override {
    while (!ends_.empty()) ForgetEnd(-1, ends_.begin()->first);
  }

  absl::Status Open() {
    port_ = Own(CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 1));
    return port_.valid() ? absl::OkStatus() : LastErrorStatus("CreateIoCompletionPort");
  }

  const std::vector<PoolEvent>& Await(int milliseconds) override {
    OVERLAPPED_ENTRY entries[64];
    ULONG count = 0;
    const DWORD patience = milliseconds < 0 ? INFINITE : static_cast<DWORD>(milliseconds);
    if (!GetQueuedCompletionStatusEx(HandleOf(port_.get()), entries, std::size(entries), &count, patience, FALSE)) count = 0;
    found_.clear();
    for (ULONG i = 0; i < count; ++i) {
      const ULONG_PTR key = entries[i].lpCompletionKey;
      const bool ended = (key & kEnd) != 0;
      found_.push_back({.worker = key >> 1, .ended = ended, .readable = !ended, .writable = !ended});
    }
    return found_;
  }

  void Wake() override { Post(0); }

  // A stream says by itself when what was begun is done. What was not begun yet is begun by the supervisor, which is told here.
  bool WatchStream(int stream, uint64_t worker, Interest before, Interest now) override {
    if (now == Interest::kNone) return true;
    if (before == Interest::kNone &&
        CreateIoCompletionPort(HandleOf(stream), HandleOf(port_.get()), worker << 1, 0) == nullptr) {
      return false;
    }
    if (before == Interest::kNone || now == Interest::kReadingAndWriting) Post(worker << 1);
    return true;
  }

  absl::Status WatchEnd(int sentinel, uint64_t worker) override {
    auto end = std::make_unique<AwaitedEnd>();
    end->port = HandleOf(port_.get());
    end->key = worker << 1 | kEnd;
    if (!RegisterWaitForSingleObject(&end->wait, HandleOf(sentinel), SayEnd, end.get(), INFINITE,
                                     WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD)) {
      return LastErrorStatus("RegisterWaitForSingleObject");
    }
    ends_[worker] = std::move(end);
    return absl::OkStatus();
  }

  void ForgetEnd(int /*sentinel*/, uint64_t worker) override {
    const auto at = ends_.find(worker);
    if (at == ends_.end()) return;
    // With INVALID_HANDLE_VALUE it waits until nobody is in SayEnd any more.
    UnregisterWaitEx(at->second->wait, INVALID_HANDLE_VALUE);
    ends_.erase(at);
  }

 private:
  void Post(ULONG_PTR key) { PostQueuedCompletionStatus(HandleOf(port_.get()), 0, key, nullptr); }

  UniqueFd port_;
  std::map<uint64_t, std::unique_ptr<AwaitedEnd>> ends_;
  std::vector<PoolEvent> found_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<PoolEvents>> PoolEvents::Create() {
  auto events = std::make_unique<WindowsPoolEvents>();
  BROOD_RETURN_IF_ERROR(events->Open());
  return events;
}

}  // namespace brood::internal
