#include <windows.h>

#include <algorithm>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "ipc/connection.h"
#include "ipc/deadline.h"
#include "ipc/stream_io.h"
#include "ipc/wait.h"

namespace brood {
namespace {

// What one call takes.
constexpr size_t kMost = MAXIMUM_WAIT_OBJECTS;

// One that is ready, or nothing when the time has passed. The wait takes its signal from what has one only (an event that
// resets itself), so whoever calls must count it.
absl::StatusOr<std::vector<HANDLE>> AwaitSome(const std::vector<HANDLE>& handles, const internal::Deadline& deadline) {
  for (;;) {
    // A wait takes 49 days at most; rounded up, so that the rest of a millisecond is no loop.
    const absl::Duration left = std::min(deadline.Left(), absl::Hours(24));
    const auto milliseconds = static_cast<DWORD>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))));
    const DWORD woken = WaitForMultipleObjects(static_cast<DWORD>(handles.size()), handles.data(), FALSE, milliseconds);
    if (woken == WAIT_FAILED) return LastErrorStatus("WaitForMultipleObjects");
    if (woken < WAIT_OBJECT_0 + handles.size()) return std::vector<HANDLE>{handles[woken - WAIT_OBJECT_0]};
    if (woken >= WAIT_ABANDONED_0 && woken < WAIT_ABANDONED_0 + handles.size()) {
      return std::vector<HANDLE>{handles[woken - WAIT_ABANDONED_0]};
    }
    if (deadline.passed()) return std::vector<HANDLE>();
  }
}

// More than one call takes: a thread for each 63, which the first one that is woken tells to stop.
absl::StatusOr<std::vector<HANDLE>> AwaitSomeOfMany(const std::vector<HANDLE>& handles, const internal::Deadline& deadline) {
  const UniqueFd stop = Own(CreateEventW(nullptr, TRUE, FALSE, nullptr));
  if (!stop.valid()) return LastErrorStatus("CreateEvent", "to wait for many handles");
  const HANDLE stop_handle = HandleOf(stop.get());
  const size_t groups = (handles.size() + kMost - 2) / (kMost - 1);
  std::vector<absl::StatusOr<std::vector<HANDLE>>> woken(groups, std::vector<HANDLE>());
  {
    std::vector<std::thread> threads;
    for (size_t group = 0; group < groups; ++group) {
      threads.emplace_back([&, group] {
        const size_t begin = group * (kMost - 1);
        std::vector<HANDLE> mine(handles.begin() + begin, handles.begin() + std::min(begin + kMost - 1, handles.size()));
        mine.push_back(stop_handle);
        woken[group] = AwaitSome(mine, deadline);
        SetEvent(stop_handle);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  std::vector<HANDLE> ready;
  for (absl::StatusOr<std::vector<HANDLE>>& some : woken) {
    if (!some.ok()) return some.status();
    for (const HANDLE handle : *some) {
      if (handle != stop_handle) ready.push_back(handle);
    }
  }
  return ready;
}

// With connections, whose pipes no wait takes: all is looked at, at once, then at intervals that grow to 16 ms.
absl::StatusOr<std::vector<size_t>> WaitByLooking(absl::Span<const Waitable> objects, const internal::Deadline& deadline) {
  for (DWORD pause = 0;; pause = std::min<DWORD>(pause == 0 ? 1 : 2 * pause, 16)) {
    std::vector<size_t> ready;
    for (size_t i = 0; i < objects.size(); ++i) {
      const int handle = objects[i].descriptor();
      bool is_ready = false;
      if (GetFileType(HandleOf(handle)) == FILE_TYPE_PIPE) {
        const absl::StatusOr<bool> readable = internal::AwaitReadable(handle, internal::Deadline(absl::ZeroDuration()));
        if (!readable.ok()) return readable.status();
        is_ready = *readable;
      } else {
        is_ready = WaitForSingleObject(HandleOf(handle), 0) == WAIT_OBJECT_0;
      }
      if (is_ready) ready.push_back(i);
    }
    if (!ready.empty() || deadline.passed()) return ready;
    Sleep(pause);
  }
}

}  // namespace

Waitable::Waitable(const Connection& connection)
    : fd_(connection.descriptor()), sends_only_(!connection.closed() && !connection.readable()) {}

absl::StatusOr<std::vector<size_t>> Wait(absl::Span<const Waitable> objects, absl::Duration timeout) {
  const internal::Deadline deadline(timeout);
  if (objects.empty() && deadline.infinite()) return absl::InvalidArgumentError("wait: for ever, and for nothing");
  bool with_pipes = false;
  std::map<HANDLE, bool> ready;  // One that stands there twice is waited for once: the call refuses it otherwise.
  for (size_t i = 0; i < objects.size(); ++i) {
    DWORD flags = 0;
    const int handle = objects[i].descriptor();
    if (handle < 0 || !GetHandleInformation(HandleOf(handle), &flags)) {
      return absl::InvalidArgumentError(absl::StrCat("wait: object ", i, ", handle ", handle, ", is not open"));
    }
    if (objects[i].sends_only()) {
      return absl::InvalidArgumentError(
          absl::StrCat("wait: object ", i, " is an end of a connection that only sends: nothing will ever come"));
    }
    ready.emplace(HandleOf(handle), false);
    with_pipes |= GetFileType(HandleOf(handle)) == FILE_TYPE_PIPE;
  }
  if (objects.empty()) {
    absl::SleepFor(deadline.Left());
    return std::vector<size_t>();
  }
  if (with_pipes) return WaitByLooking(objects, deadline);
  std::vector<HANDLE> handles;
  for (const auto& [handle, unused] : ready) handles.push_back(handle);
  absl::StatusOr<std::vector<HANDLE>> woken =
      handles.size() <= kMost ? AwaitSome(handles, deadline) : AwaitSomeOfMany(handles, deadline);
  if (!woken.ok()) return woken.status();
  for (const HANDLE handle : *woken) ready[handle] = true;
  // The others that are ready, too.
  for (auto& [handle, is_ready] : ready) {
    if (!woken->empty() && !is_ready) is_ready = WaitForSingleObject(handle, 0) == WAIT_OBJECT_0;
  }
  std::vector<size_t> indices;
  for (size_t i = 0; i < objects.size(); ++i) {
    if (ready[HandleOf(objects[i].descriptor())]) indices.push_back(i);
  }
  return indices;
}

}  // namespace brood
