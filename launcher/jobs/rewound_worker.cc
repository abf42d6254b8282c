#include "launcher/jobs/rewound_worker.h"

#include <optional>

#include "base/fork_generation.h"
#include "base/status.h"
#include "launcher/jobs/job_link.h"

namespace brood {
namespace {

constexpr char kWorker[] = "brood.rewound_worker";

}  // namespace

class RewoundWorker::State {
 public:
  State(const Context& context, RewoundWorkerOptions options) : context_(context), options_(std::move(options)) {}

  absl::Status Begin() {
    BROOD_ASSIGN_OR_RETURN(link_, internal::JobLink::Start(context_, options_.launch, kWorker));
    jobs_ = 0;
    settled_ = true;
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Call(const std::string& job) {
    BROOD_RETURN_IF_ERROR(CheckOwner());
    for (;;) {
      if (options_.max_jobs != 0 && jobs_ >= options_.max_jobs) link_.reset();
      if (!link_.has_value()) BROOD_RETURN_IF_ERROR(Begin());
      // What it has to say of the last job, if it has said it already. If it says that it is retired instead of taking this one,
      // another has it.
      const internal::Deadline deadline(options_.timeout);
      const absl::Status sent = link_->Send(job, deadline);
      if (absl::IsDeadlineExceeded(sent)) return Kill(sent);
      if (!settled_) {
        BROOD_ASSIGN_OR_RETURN(const bool taken, TakeVerdict());
        if (!taken) continue;
      }
      if (!sent.ok()) return End();
      ++jobs_;
      absl::StatusOr<internal::JobAnswer> answer = link_->Receive(internal::Deadline(options_.timeout));
      if (absl::IsDeadlineExceeded(answer.status())) return Kill(answer.status());
      if (absl::IsUnavailable(answer.status())) return End();
      BROOD_RETURN_IF_ERROR(answer.status());
      settled_ = false;
      return std::move(answer->body);
    }
  }

  absl::Status Settle() {
    BROOD_RETURN_IF_ERROR(CheckOwner());
    if (!link_.has_value() || settled_) return absl::OkStatus();
    return TakeVerdict().status();
  }

  const std::map<std::string, uint64_t>& retired() const { return retired_; }

 private:
  // A fork has a copy of the socket: each of both would get what the other one asked for.
  absl::Status CheckOwner() const {
    if (creator_ == ForkGeneration()) return absl::OkStatus();
    return absl::FailedPreconditionError("rewound worker: only the process that made it may use it");
  }

  // Of the last job. False if the worker was retired for it. One that has ended instead did so after its result.
  absl::StatusOr<bool> TakeVerdict() {
    absl::StatusOr<internal::JobAnswer> verdict = link_->Receive(internal::Deadline(options_.timeout));
    settled_ = true;
    if (verdict.ok() && verdict->kind == internal::JobReplyKind::kReady) return true;
    if (verdict.ok() && verdict->kind == internal::JobReplyKind::kRetired) {
      ++retired_[verdict->body];
      link_.reset();
      return false;
    }
    if (!absl::IsUnavailable(verdict.status())) {
      link_.reset();
      return verdict.ok() ? absl::DataLossError("the worker sent what is no verdict") : verdict.status();
    }
    ++retired_["life"];
    link_.reset();
    return false;
  }

  absl::Status Kill(const absl::Status& why) {
    (void)link_->EndOf(internal::JobLink::Kill::kYes);
    link_.reset();
    settled_ = true;
    return why;
  }

  absl::Status End() {
    const absl::Status end = link_->EndOf(internal::JobLink::Kill::kNo);
    link_.reset();
    return end;
  }

  const Context context_;
  const RewoundWorkerOptions options_;
  const uint64_t creator_ = ForkGeneration();
  std::optional<internal::JobLink> link_;
  uint64_t jobs_ = 0;
  bool settled_ = true;  // Its verdict of the last job was taken.
  std::map<std::string, uint64_t> retired_;
};

RewoundWorker::RewoundWorker(std::unique_ptr<State> state) : state_(std::move(state)) {}
RewoundWorker::RewoundWorker(RewoundWorker&&) noexcept = default;
RewoundWorker& RewoundWorker::operator=(RewoundWorker&&) noexcept = default;
RewoundWorker::~RewoundWorker() = default;

absl::StatusOr<RewoundWorker> RewoundWorker::Create(const Context& context, RewoundWorkerOptions options) {
  auto state = std::make_unique<State>(context, std::move(options));
  BROOD_RETURN_IF_ERROR(state->Begin());
  return RewoundWorker(std::move(state));
}

absl::StatusOr<std::string> RewoundWorker::CallBytes(internal::AnyFunction function, WireWriter& arguments) {
  if (!arguments.TakeHandles().empty()) return absl::UnimplementedError("rewound worker: an argument carries a descriptor");
  // Without their size, which is the job's.
  BROOD_ASSIGN_OR_RETURN(const std::string job, internal::EncodeJob(function, std::string_view(arguments.bytes()).substr(sizeof(uint32_t))));
  return state_->Call(job);
}

absl::Status RewoundWorker::Settle() { return state_->Settle(); }

const std::map<std::string, uint64_t>& RewoundWorker::retired() const { return state_->retired(); }

}  // namespace brood
