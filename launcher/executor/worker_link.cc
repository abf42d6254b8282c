#include "launcher/executor/worker_link.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "serialization/messages.h"

namespace brood::internal {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;

}  // namespace

absl::StatusOr<WorkerLink::Ends> WorkerLink::MakeEnds(WorkerLink& link) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return ErrnoStatus(errno, "socketpair");
  Ends ends;
  link.socket.reset(sockets[0]);
  ends.socket.reset(sockets[1]);
  link.journal.reset(memfd_create("brood-journal", MFD_CLOEXEC));
  if (!link.journal.valid() || ftruncate(link.journal.get(), kJournalBytes) != 0) {
    return ErrnoStatus(errno, "memfd_create", "for the worker's journal");
  }
  ends.journal = Duplicate(link.journal.get());
  if (!ends.journal.valid()) return ErrnoStatus(errno, "dup", "the worker's journal");
  return ends;
}

void WorkerLink::Give(std::shared_ptr<Task> next, uint64_t budget) {
  task = std::move(next);
  task->worker = this;
  phase = Phase::kBusy;
  received = task->next;
  end = received + static_cast<uint32_t>(std::min<uint64_t>(task->count - received, budget));
  seen_done = received;
  call_began_ns = task->began_ns;
  PoolRequest request;
  request.name_bytes = static_cast<uint32_t>(task->target->name.size());
  request.signature_bytes = static_cast<uint32_t>(task->target->signature.size());
  request.first = received;
  request.end = end;
  request.timed = task->timeout < absl::InfiniteDuration() ? 1 : 0;
  request.task = task->id;
  request.argument_bytes = task->arguments.size();
  head.assign(reinterpret_cast<const char*>(&request), sizeof(request));
  head += task->target->name;
  head += task->target->signature;
  sent = 0;
  // The rest of a chunk that was stopped may come back here.
  if (stop_written) WriteStop(0);
  GoOnSending();
}

void WorkerLink::Stop() {
  if (task != nullptr && !stop_written) WriteStop(task->id);
}

void WorkerLink::WriteStop(uint64_t request) {
  stop_written = request != 0;
  // Not to be written where the worker has cut it short: that is its own loss.
  (void)!pwrite(journal.get(), &request, sizeof(request), offsetof(JournalHeader, stop));
}

void WorkerLink::GoOnSending() {
  while (sending()) {
    iovec pieces[2];
    int count = 0;
    if (sent < head.size()) pieces[count++] = {head.data() + sent, head.size() - sent};
    const size_t behind = sent < head.size() ? 0 : sent - head.size();
    if (behind < task->arguments.size()) {
      pieces[count++] = {task->arguments.data() + behind, task->arguments.size() - behind};
    }
    msghdr message = {};
    message.msg_iov = pieces;
    message.msg_iovlen = static_cast<size_t>(count);
    const ssize_t n = sendmsg(socket.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      sent += static_cast<size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return;
    } else if (errno != EINTR) {
      sent = SendBytes();  // It has gone, or does not read any more.
    }
  }
}

void WorkerLink::Append(std::string_view bytes) {
  // Not only when it is empty: a worker may take care that it never is.
  if (in_begin >= in.size() / 2) {
    in.erase(0, in_begin);
    in_begin = 0;
  }
  in.append(bytes);
}

absl::Status WorkerLink::Receive(bool& more) {
  more = false;
  char bytes[kReadBytes];
  ssize_t n;
  do {
    n = recv(socket.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return absl::OkStatus();
  if (n <= 0) return absl::OutOfRangeError("the worker has closed its socket");
  Append({bytes, static_cast<size_t>(n)});
  more = static_cast<size_t>(n) == sizeof(bytes);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<PoolReply>> WorkerLink::NextReply(uint64_t max_result_bytes, std::string& body) {
  PoolReply reply;
  if (in.size() - in_begin < sizeof(reply)) return std::nullopt;
  std::memcpy(&reply, in.data() + in_begin, sizeof(reply));
  const auto damaged = [](std::string_view what) {
    return absl::DataLossError(absl::StrCat("the worker sent what is no reply: ", what));
  };
  if (reply.magic != kPoolMagic) return damaged("no magic number");
  const uint64_t max_body = kJournalBytes + std::max(max_result_bytes, kMaxErrorBytes) + 64;
  if (reply.body_bytes > max_body) return damaged("it is too large");
  switch (reply.kind) {
    case PoolReplyKind::kReady:
    case PoolReplyKind::kInitializerFailed:
      if (phase != Phase::kStarting) return damaged("it has started already");
      break;
    case PoolReplyKind::kResults:
      // Nor before it has read the whole request: what remains of that is the task's, which ends with its last result.
      if (phase != Phase::kBusy || sending() || reply.task != task->id || reply.first != received || reply.count == 0 ||
          reply.count > end - received) {
        return damaged("it answers what was not asked");
      }
      break;
    case PoolReplyKind::kStopped:
      if (phase != Phase::kBusy || sending() || !stop_written || reply.task != task->id || reply.first != received) {
        return damaged("nobody asked it to stop");
      }
      break;
    default:
      return damaged("of an unknown kind");
  }
  if (in.size() - in_begin - sizeof(reply) < reply.body_bytes) return std::nullopt;
  body.assign(in, in_begin + sizeof(reply), reply.body_bytes);
  in_begin += sizeof(reply) + reply.body_bytes;
  if (in_begin == in.size() && in.capacity() > 16 * kReadBytes) {
    in = std::string();
    in_begin = 0;
  }
  return reply;
}

JournalState WorkerLink::ReadJournal() const {
  JournalState state;
  state.done = received;
  uint64_t words[5] = {};
  static_assert(sizeof(words) == sizeof(JournalHeader));
  // Not mapped here: a worker that cuts its journal short would end this process. mmap(2), SIGBUS.
  if (task == nullptr || pread(journal.get(), words, sizeof(words), 0) != sizeof(words)) return state;
  const uint64_t first = words[1];
  const uint64_t done = words[2] >> 32;
  const uint64_t bytes = words[2] & UINT32_MAX;
  if (words[0] != task->id) return state;
  state.began = true;
  state.began_ns = static_cast<int64_t>(std::min<uint64_t>(words[3], INT64_MAX));
  // What has been received whole is not looked at again; a worker's contradictions count as no progress.
  if (first != received || done <= first || done > end || bytes > kJournalRoom) return state;
  state.bytes.resize(bytes);
  if (pread(journal.get(), state.bytes.data(), bytes, sizeof(JournalHeader)) != static_cast<ssize_t>(bytes)) {
    state.bytes.clear();
    return state;
  }
  state.done = static_cast<uint32_t>(done);
  return state;
}

}  // namespace brood::internal
