#include "forkserver/output_child.h"

#include <errno.h>
#include <sys/syscall.h>

#include "base/raw_syscall_child.h"

namespace brood::child {
namespace {

constexpr size_t kBuffer = 8192;                // On a keeper's stack.
constexpr size_t kMostInPipe = size_t{1} << 20; // Unless root has raised that. pipe(7), pipe-max-size

}  // namespace

std::array<uint64_t, 4> OutputOrder::Encode() const {
  const uint64_t places = uint64_t{streams[0].pipe} | uint64_t{streams[0].sink} << 8 | uint64_t{streams[1].pipe} << 16 | uint64_t{streams[1].sink} << 24;
  return {places, limit_bytes, streams[0].keep_bytes, streams[1].keep_bytes};
}

OutputOrder OutputOrder::Decode(const std::array<uint64_t, 4>& words) {
  OutputOrder order;
  order.limit_bytes = words[1];
  for (unsigned i = 0; i < 2; ++i) {
    order.streams[i].pipe = static_cast<uint8_t>(words[0] >> (16 * i));
    order.streams[i].sink = static_cast<uint8_t>(words[0] >> (16 * i + 8));
    order.streams[i].keep_bytes = words[2 + i];
  }
  return order;
}

void Output::Begin(const brood::internal::RawRequest& request) {
  *this = Output();
  const OutputOrder order = OutputOrder::Decode(WordsOf(request));
  const size_t carriers = CarriersOf(request);
  left_ = order.limit_bytes;
  for (int i = 0; i < 2; ++i) {
    const size_t pipe = carriers + order.streams[i].pipe;
    const size_t sink = carriers + order.streams[i].sink;
    if (pipe >= request.fd_count || sink >= request.fd_count) continue;
    streams_[i].pipe = request.fds[pipe];
    streams_[i].sink = request.fds[sink];
    streams_[i].room = order.streams[i].keep_bytes;
  }
}

bool Output::Owns(int fd) const {
  for (const Stream& stream : streams_) {
    if (fd == stream.pipe || fd == stream.sink) return true;
  }
  return false;
}

void Output::AddPolls(pollfd* polls) const {
  for (int i = 0; i < 2; ++i) polls[i] = {streams_[i].pipe, POLLIN, 0};
}

void Output::Move(const pollfd* polls) {
  for (int i = 0; i < 2; ++i) {
    if (polls[i].revents != 0) Read(streams_[i]);
  }
}

void Output::End() {
  // A descriptor of the pipe may have gone to somebody whom we do not end.
  for (Stream& stream : streams_) {
    for (const uint64_t most = stream.bytes + kMostInPipe; stream.bytes < most && Read(stream);) {
    }
    Close(stream.pipe);
  }
  if (streams_[1].sink == streams_[0].sink) streams_[1].sink = -1;  // One descriptor for both.
  for (Stream& stream : streams_) Close(stream.sink);
}

bool Output::Read(Stream& stream) {
  if (stream.pipe < 0) return false;
  char buffer[kBuffer];
  const long got = RawSyscall(SYS_read, stream.pipe, buffer, static_cast<long>(sizeof(buffer)));
  if (got == -EAGAIN || got == -EINTR) return got == -EINTR;
  if (got <= 0) {
    Close(stream.pipe);
    return false;
  }
  stream.bytes += static_cast<uint64_t>(got);
  uint64_t wanted = static_cast<uint64_t>(got);
  if (wanted > left_) {
    wanted = left_;
    over_limit_ = stream.truncated = true;
  }
  if (left_ != OutputOrder::kAll) left_ -= wanted;
  if (wanted > stream.room) {
    wanted = stream.room;
    stream.truncated = true;
  }
  if (stream.room != OutputOrder::kAll) stream.room -= wanted;
  for (uint64_t done = 0; done < wanted;) {
    const long written = RawSyscall(SYS_write, stream.sink, buffer + done, static_cast<long>(wanted - done));
    if (written == -EINTR) continue;
    if (written <= 0) {
      // The child gets SIGPIPE or EPIPE for its next write, as it would have of a disk that is full without us between.
      stream.error = static_cast<int>(-written);
      stream.truncated = true;
      Close(stream.pipe);
      return false;
    }
    done += static_cast<uint64_t>(written);
  }
  return true;
}

void Output::Close(int& fd) {
  if (fd >= 0) RawSyscall(SYS_close, fd);
  fd = -1;
}

}  // namespace brood::child
