// The client's end of a worker that takes jobs. Not for users.
#ifndef BROOD_LAUNCHER_JOBS_JOB_LINK_H_
#define BROOD_LAUNCHER_JOBS_JOB_LINK_H_

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "bootstrap/registry.h"
#include "ipc/deadline.h"
#include "launcher/context.h"
#include "launcher/jobs/protocol.h"
#include "launcher/launch_options.h"
#include "launcher/process.h"

namespace brood::internal {

// A job as it travels. Errors: those of FindTarget; InvalidArgument (too large).
absl::StatusOr<std::string> EncodeJob(AnyFunction function, std::string_view arguments);

struct JobAnswer {
  JobReplyKind kind = JobReplyKind::kResult;
  std::string body;
};

// A process that takes jobs from its socket, one after the other.
class JobLink {
 public:
  // Starts `target` with one end of a socket, and waits until it says that it is ready. Errors: those of Context::Start; what it
  // says instead, as FailedPrecondition.
  static absl::StatusOr<JobLink> Start(const Context& context, const LaunchOptions& options, const char* target);

  // Errors: Unavailable (the worker has ended), DeadlineExceeded (it does not take what is larger than its socket).
  absl::Status Send(std::string_view job, const Deadline& deadline) const;

  // Errors: Unavailable (the worker has ended), DeadlineExceeded, DataLoss (what came is no answer).
  absl::StatusOr<JobAnswer> Receive(const Deadline& deadline);

  // Of a worker that has ended without an answer, or with `kill` is to end so: Aborted, with its outcome as OutcomeOf has it.
  enum class Kill { kNo, kYes };
  absl::Status EndOf(Kill kill);

  Process& process() { return process_; }

 private:
  absl::Status Await(short events, const Deadline& deadline) const;
  JobLink(Process process, UniqueFd socket) : process_(std::move(process)), socket_(std::move(socket)) {}

  Process process_;
  UniqueFd socket_;
  std::string unread_;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_JOBS_JOB_LINK_H_
