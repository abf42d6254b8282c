// A named pipe of bytes, overlapped at the pool's end. One read is always under way, and one write at most, each with memory of
// its own; that they are done the pool's completion port says.
//
// The supervisor begins them all, which lives longer than they: what another thread has begun may end with that thread.
#include <windows.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "ipc/pipe_handles.h"
#include "launcher/executor/worker_stream.h"

namespace brood::internal {
namespace {

constexpr DWORD kBytes = 64 << 10;

// A read or a write, and the memory for it.
class Transfer {
 public:
  bool Open() {
    event_ = Own(CreateEventW(nullptr, TRUE, FALSE, nullptr));
    return event_.valid();
  }
  char* memory() { return memory_; }
  bool under_way() const { return under_way_; }

  // `begin` calls ReadFile or WriteFile. False: it fails at once.
  template <typename Begin>
  bool Start(const Begin& begin) {
    overlapped_ = {};
    overlapped_.hEvent = HandleOf(event_.get());
    under_way_ = begin(memory_, &overlapped_) || GetLastError() == ERROR_IO_PENDING;
    return under_way_;
  }
  bool done() const { return WaitForSingleObject(HandleOf(event_.get()), 0) == WAIT_OBJECT_0; }
  // Of one that is done, or is soon. Nothing: it failed.
  std::optional<size_t> Finish(HANDLE pipe) {
    under_way_ = false;
    DWORD count = 0;
    if (!GetOverlappedResult(pipe, &overlapped_, &count, TRUE)) return std::nullopt;
    return count;
  }
  void TakeBack(HANDLE pipe) {
    if (!under_way_) return;
    CancelIoEx(pipe, &overlapped_);
    (void)Finish(pipe);
  }

 private:
  UniqueFd event_;
  OVERLAPPED overlapped_ = {};
  bool under_way_ = false;
  char memory_[kBytes];
};

class PipeStream : public WorkerStream {
 public:
  explicit PipeStream(UniqueFd pipe) : pipe_(std::move(pipe)) {}
  ~PipeStream() override { Close(); }
  bool Open() { return read_.Open() && write_.Open(); }

  int descriptor() const override { return pipe_.get(); }

  std::optional<size_t> Send(std::string_view first, std::string_view second) override {
    if (!pipe_.valid()) return std::nullopt;
    if (!IsSupervisor()) return 0;
    if (!write_.under_way()) {
      const size_t begin = std::min<size_t>(first.size(), kBytes);
      std::copy_n(first.data(), begin, write_.memory());
      const size_t rest = std::min<size_t>(second.size(), kBytes - begin);
      std::copy_n(second.data(), rest, write_.memory() + begin);
      const auto size = static_cast<DWORD>(begin + rest);
      if (!write_.Start([&](char* memory, OVERLAPPED* to) { return WriteFile(handle(), memory, size, nullptr, to); })) {
        return std::nullopt;
      }
    }
    if (!write_.done()) return 0;
    return write_.Finish(handle());
  }

  absl::Status Receive(std::string& to, bool& more) override {
    supervisor_ = GetCurrentThreadId();
    more = false;
    if (read_.under_way()) {
      if (!read_.done()) return absl::OkStatus();
      const std::optional<size_t> count = read_.Finish(handle());
      if (!count.has_value()) return AtEnd();
      to.append(read_.memory(), *count);
    }
    if (!pipe_.valid() ||
        !read_.Start([&](char* memory, OVERLAPPED* with) { return ReadFile(handle(), memory, kBytes, nullptr, with); })) {
      return AtEnd();
    }
    more = read_.done();
    return absl::OkStatus();
  }

  // A pipe ends as a whole, for which the worker must have nothing to say any more.
  void EndSending() override { Close(); }

 private:
  HANDLE handle() const { return HandleOf(pipe_.get()); }
  bool IsSupervisor() const { return supervisor_ == GetCurrentThreadId(); }
  static absl::Status AtEnd() { return absl::OutOfRangeError("the worker has closed its pipe"); }

  void Close() {
    if (!pipe_.valid()) return;
    read_.TakeBack(handle());
    write_.TakeBack(handle());
    pipe_.reset();
  }

  UniqueFd pipe_;
  DWORD supervisor_ = 0;  // It alone receives.
  Transfer read_;
  Transfer write_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<WorkerStream>> WorkerStream::Make(UniqueFd* worker) {
  absl::StatusOr<PipeHandles> ends = NewPipeHandles({.second = PipeTransfers::kSynchronous});
  if (!ends.ok()) return ends.status();
  auto stream = std::make_unique<PipeStream>(std::move(ends->first));
  if (!stream->Open()) return LastErrorStatus("CreateEvent", "for a worker");
  *worker = std::move(ends->second);
  return stream;
}

}  // namespace brood::internal
