#include "launcher/jobs/job_link.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/deadline.h"
#include "launcher/executor/outcome_of.h"
#include "launcher/outcome_flatbuffer.h"
#include "serialization/value.h"

namespace brood::internal {
namespace {

// So long a worker that does not answer has to end by itself, as one does that has crashed.
constexpr absl::Duration kEndPatience = absl::Seconds(10);
constexpr size_t kReadAhead = 4096;

}  // namespace

absl::StatusOr<std::string> EncodeJob(AnyFunction function, std::string_view arguments) {
  BROOD_ASSIGN_OR_RETURN(const TargetEntry* const entry, FindTarget(function));
  const std::string_view name = entry->name;
  const std::string signature = entry->signature();
  if (arguments.size() > kMaxJobBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("job: the arguments take ", arguments.size(), " bytes, ", kMaxJobBytes, " are allowed"));
  }
  JobRequest header;
  header.name_bytes = static_cast<uint32_t>(name.size());
  header.signature_bytes = static_cast<uint32_t>(signature.size());
  header.argument_bytes = arguments.size();
  return absl::StrCat(std::string_view(reinterpret_cast<const char*>(&header), sizeof(header)), name, signature, arguments);
}

absl::StatusOr<JobLink> JobLink::Start(const Context& context, const LaunchOptions& options, const char* target) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
  UniqueFd ours(pair[0]);
  std::vector<TypedValue> arguments;
  arguments.push_back(Pack(UniqueFd(pair[1])));
  BROOD_ASSIGN_OR_RETURN(Process process, context.StartByName(options, target, std::move(arguments)));
  JobLink link(std::move(process), std::move(ours));
  absl::StatusOr<JobAnswer> answer = link.Receive(Deadline(absl::InfiniteDuration()));
  if (absl::IsUnavailable(answer.status())) return link.EndOf(Kill::kNo);
  BROOD_RETURN_IF_ERROR(answer.status());
  if (answer->kind != JobReplyKind::kReady) return absl::FailedPreconditionError(answer->body);
  return link;
}

absl::Status JobLink::Send(std::string_view job, const Deadline& deadline) const {
  while (!job.empty()) {
    const ssize_t n = send(socket_.get(), job.data(), job.size(), MSG_NOSIGNAL | (deadline.infinite() ? 0 : MSG_DONTWAIT));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      BROOD_RETURN_IF_ERROR(Await(POLLOUT, deadline));
      continue;
    }
    if (n < 0) return absl::UnavailableError("the worker has ended");
    job.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status JobLink::Await(short events, const Deadline& deadline) const {
  pollfd polled = {socket_.get(), events, 0};
  while (ppoll(&polled, 1, deadline.ToTimespec().get(), nullptr) <= 0) {
    if (deadline.passed()) return absl::DeadlineExceededError("job: not done in time; see the timeout");
  }
  return absl::OkStatus();
}

absl::StatusOr<JobAnswer> JobLink::Receive(const Deadline& deadline) {
  for (;;) {
    size_t missing = sizeof(JobReply);
    if (unread_.size() >= sizeof(JobReply)) {
      JobReply header;
      memcpy(&header, unread_.data(), sizeof(header));
      if (header.magic != kJobMagic || header.body_bytes > 2 * kMaxJobBytes) return absl::DataLossError("the worker sent what is no answer");
      const size_t whole = sizeof(header) + header.body_bytes;
      if (unread_.size() >= whole) {
        JobAnswer answer = {.kind = header.kind, .body = unread_.substr(sizeof(header), header.body_bytes)};
        unread_.erase(0, whole);
        return answer;
      }
      missing = whole - unread_.size();
    }
    if (!deadline.infinite()) BROOD_RETURN_IF_ERROR(Await(POLLIN, deadline));
    const size_t have = unread_.size();
    unread_.resize(have + std::max(missing, kReadAhead));  // A short answer comes whole.
    const ssize_t n = recv(socket_.get(), unread_.data() + have, unread_.size() - have, 0);
    const int error = errno;
    unread_.resize(have + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && error == EINTR) continue;
    if (n <= 0) return absl::UnavailableError("the worker has ended");
  }
}

absl::Status JobLink::EndOf(Kill kill) {
  if (kill == Kill::kYes) (void)process_.Kill();
  absl::StatusOr<Outcome> outcome = process_.Join(kEndPatience);
  if (absl::IsDeadlineExceeded(outcome.status())) {
    (void)process_.Kill();
    outcome = process_.Join();
  }
  BROOD_RETURN_IF_ERROR(outcome.status());
  absl::Status status = absl::AbortedError(absl::StrCat("the worker ended without a result: ", outcome->ToString()));
  status.SetPayload(kOutcomeUrl, absl::Cord(EncodeOutcome(*outcome)));
  return status;
}

}  // namespace brood::internal
