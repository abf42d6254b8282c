#include "launcher/executor/worker_link.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "serialization/messages.h"

namespace brood::internal {
namespace {

constexpr size_t kKeepBytes = size_t{1} << 20;

}  // namespace

absl::StatusOr<WorkerLink::Ends> WorkerLink::MakeEnds(WorkerLink& link) {
  Ends ends;
  BROOD_ASSIGN_OR_RETURN(link.stream, WorkerStream::Make(&ends.stream));
  BROOD_ASSIGN_OR_RETURN(link.journal, WorkerJournal::Make(&ends.journal));
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
  journal->WriteStop(request);
}

void WorkerLink::GoOnSending() {
  while (sending()) {
    const std::string_view first = sent < head.size() ? std::string_view(head).substr(sent) : std::string_view();
    const size_t behind = sent < head.size() ? 0 : sent - head.size();
    const std::optional<size_t> taken = stream->Send(first, std::string_view(task->arguments).substr(behind));
    if (taken == 0) return;
    sent = taken.has_value() ? sent + *taken : SendBytes();
  }
}

void WorkerLink::DropWhatWasRead() {
  // Not only when it is empty: a worker may take care that it never is.
  if (in_begin < in.size() / 2) return;
  in.erase(0, in_begin);
  in_begin = 0;
}

void WorkerLink::Append(std::string_view bytes) {
  DropWhatWasRead();
  in.append(bytes);
}

absl::Status WorkerLink::Receive(bool& more) {
  DropWhatWasRead();
  return stream->Receive(in, more);
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
  if (in_begin == in.size() && in.capacity() > kKeepBytes) {
    in = std::string();
    in_begin = 0;
  }
  return reply;
}

JournalState WorkerLink::ReadJournal() const {
  JournalState state;
  state.done = received;
  WorkerJournal::Words words = {};
  if (task == nullptr || !journal->ReadHeader(words)) return state;
  const uint64_t first = words[1];
  const uint64_t done = words[2] >> 32;
  const uint64_t bytes = words[2] & UINT32_MAX;
  if (words[0] != task->id) return state;
  state.began = true;
  state.began_ns = static_cast<int64_t>(std::min<uint64_t>(words[3], INT64_MAX));
  // What has been received whole is not looked at again; a worker's contradictions count as no progress.
  if (first != received || done <= first || done > end || bytes > kJournalRoom) return state;
  state.bytes.resize(bytes);
  if (!journal->ReadResults(state.bytes.data(), bytes)) {
    state.bytes.clear();
    return state;
  }
  state.done = static_cast<uint32_t>(done);
  return state;
}

}  // namespace brood::internal
