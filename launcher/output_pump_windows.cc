#include "launcher/output_pump_windows.h"

#include <windows.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"

namespace brood::internal {
namespace {

constexpr DWORD kBufferBytes = 64 << 10;

struct PipeEnds {
  UniqueFd reader;  // Overlapped, so that waiting for it can end.
  UniqueFd writer;  // As the child's C library expects it; it may inherit it.
};

// CreatePipe makes no overlapped ones.
absl::StatusOr<PipeEnds> NewPipe() {
  std::array<uint8_t, 16> random;
  BROOD_RETURN_IF_ERROR(FillRandom(random.data(), random.size()));
  std::wstring name = L"\\\\.\\pipe\\brood-output-";
  for (const uint8_t byte : random) {
    name += L"0123456789abcdef"[byte >> 4];
    name += L"0123456789abcdef"[byte & 15];
  }
  PipeEnds ends;
  ends.reader = Own(CreateNamedPipeW(name.c_str(), PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
                                     PIPE_TYPE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS, 1, kBufferBytes, kBufferBytes, 0, nullptr));
  if (!ends.reader.valid()) return LastErrorStatus("CreateNamedPipe", "for output");
  SECURITY_ATTRIBUTES inherited = {.nLength = sizeof(inherited), .lpSecurityDescriptor = nullptr, .bInheritHandle = TRUE};
  // A client that may look at the pipe's state, as the C library does.
  ends.writer = Own(CreateFileW(name.c_str(), GENERIC_WRITE | FILE_READ_ATTRIBUTES, 0, &inherited, OPEN_EXISTING, 0, nullptr));
  if (!ends.writer.valid()) return LastErrorStatus("open", "the pipe for output");
  return ends;
}

}  // namespace

struct OutputPump::Stream {
  OutputPump* pump = nullptr;
  UniqueFd reader;
  UniqueFd sink;
  UniqueFd arrived;  // The event of a read.
  PTP_WORK work = nullptr;
  std::atomic<DWORD> thread = 0;
  std::atomic<bool> done = false;
};

OutputPump::OutputPump(uint64_t limit) : limit_(limit) {}

absl::StatusOr<UniqueFd> OutputPump::Through(UniqueFd sink) {
  BROOD_ASSIGN_OR_RETURN(PipeEnds ends, NewPipe());
  auto stream = std::make_unique<Stream>();
  stream->pump = this;
  stream->reader = std::move(ends.reader);
  stream->sink = std::move(sink);
  stream->arrived = Own(CreateEventW(nullptr, TRUE, FALSE, nullptr));
  if (!stream->arrived.valid()) return LastErrorStatus("CreateEvent", "for output");
  streams_.push_back(std::move(stream));
  return std::move(ends.writer);
}

absl::Status OutputPump::Start(int job, uint32_t exit_code) {
  job_ = job;
  exit_code_ = exit_code;
  stop_ = Own(CreateEventW(nullptr, TRUE, FALSE, nullptr));
  if (!stop_.valid()) return LastErrorStatus("CreateEvent", "for output");
  const auto run = [](PTP_CALLBACK_INSTANCE instance, void* context, PTP_WORK /*work*/) {
    // The pool makes another thread for others.
    CallbackMayRunLong(instance);
    auto& stream = *static_cast<Stream*>(context);
    stream.thread = GetCurrentThreadId();
    stream.pump->Run(stream);
    stream.done = true;
  };
  for (const auto& stream : streams_) {
    stream->work = CreateThreadpoolWork(run, stream.get(), nullptr);
    if (stream->work == nullptr) return LastErrorStatus("CreateThreadpoolWork", "for output");
    SubmitThreadpoolWork(stream->work);
  }
  return absl::OkStatus();
}

// False when the sink takes no more.
bool OutputPump::Pass(Stream& stream, const char* data, size_t size) {
  const uint64_t before = seen_.fetch_add(size);
  if (before + size > limit_) {
    size = static_cast<size_t>(before >= limit_ ? 0 : limit_ - before);
    if (!over_limit_.exchange(true)) (void)TerminateJobObject(HandleOf(job_), exit_code_);
  }
  while (size > 0) {
    DWORD written = 0;
    if (!WriteFile(HandleOf(stream.sink.get()), data, static_cast<DWORD>(size), &written, nullptr)) return false;
    data += written;
    size -= written;
  }
  return true;
}

void OutputPump::Run(Stream& stream) {
  const HANDLE reader = HandleOf(stream.reader.get());
  std::vector<char> buffer(kBufferBytes);
  bool stopped = false;
  for (;;) {
    if (stopped) {
      // Nobody of the tree writes any more; somebody outside who has a handle is not waited for.
      DWORD available = 0;
      if (!PeekNamedPipe(reader, nullptr, 0, nullptr, &available, nullptr) || available == 0) break;
    }
    OVERLAPPED overlapped = {};
    overlapped.hEvent = HandleOf(stream.arrived.get());
    if (!ReadFile(reader, buffer.data(), kBufferBytes, nullptr, &overlapped) && GetLastError() != ERROR_IO_PENDING) break;
    const HANDLE either[] = {overlapped.hEvent, HandleOf(stop_.get())};
    if (WaitForMultipleObjects(2, either, FALSE, INFINITE) == WAIT_OBJECT_0 + 1) {
      stopped = true;
      CancelIoEx(reader, &overlapped);
    }
    DWORD count = 0;
    const BOOL read = GetOverlappedResult(reader, &overlapped, &count, TRUE);
    // A cancelled read may have read all the same.
    if (!read && GetLastError() != ERROR_OPERATION_ABORTED) break;
    if (count > 0 && !Pass(stream, buffer.data(), count)) break;
  }
  // A child that goes on writing is told that nobody reads.
  stream.reader.reset();
  stream.sink.reset();
}

void OutputPump::Finish() {
  if (stop_.valid()) SetEvent(HandleOf(stop_.get()));
  for (const auto& stream : streams_) {
    if (stream->work == nullptr) continue;
    WaitForThreadpoolWorkCallbacks(stream->work, FALSE);
    CloseThreadpoolWork(std::exchange(stream->work, nullptr));
  }
}

OutputPump::~OutputPump() {
  if (stop_.valid()) SetEvent(HandleOf(stop_.get()));
  for (const auto& stream : streams_) {
    while (stream->work != nullptr && !stream->done) {
      const UniqueFd thread = Own(OpenThread(THREAD_TERMINATE, FALSE, stream->thread));
      if (thread.valid()) CancelSynchronousIo(HandleOf(thread.get()));
      Sleep(1);
    }
  }
  Finish();
}

}  // namespace brood::internal
