#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "forkserver/birth.h"
#include "forkserver/fingerprint.h"
#include "forkserver/output_child.h"
#include "forkserver/supervisor.h"
#include "forkserver/status_text.h"
#include "launcher/client_birth_child.h"
#include "launcher/guarded_state.h"
#include "launcher/launch_flatbuffer.h"
#include "launcher/launch_internal.h"
#include "launcher/leased_child.h"
#include "launcher/served_charge.h"
#include "launcher/served_child.h"
#include "launcher/served_start.h"

namespace brood::internal {
namespace {

// The supervisor sees to it that the server takes a request in time. It is given so much more to say that it did not.
constexpr absl::Duration kSupervisorsPatience = absl::Seconds(2);

child::OutputOrder OutputOf(const LaunchRecord& record, const std::vector<int>& fds) {
  // Each fits: of more than 200 descriptors nothing is born in a slot (launch_linux.cc, kMostInSlot).
  const auto place = [&fds](int fd) { return static_cast<uint8_t>(std::find(fds.begin(), fds.end(), fd) - fds.begin()); };
  child::OutputOrder order;
  if (record.output_limited) order.limit_bytes = record.output_bytes;
  for (int i = 0; i < 2; ++i) {
    const StreamRecord& stream = record.streams[i];
    if (stream.pipe >= 0) order.streams[i] = {.pipe = place(stream.pipe), .sink = place(stream.sink), .keep_bytes = stream.keep_bytes};
  }
  return order;
}

[[maybe_unused]] const bool g_serves = ServeLaunches();

}  // namespace

absl::StatusOr<ServedStart::Seen> ServedStart::Look() {
  BROOD_ASSIGN_OR_RETURN(const std::string status_text, ReadStatusText());
  BROOD_ASSIGN_OR_RETURN(const mode_t file_mask, FileMaskOf(status_text));
  return Seen{.fingerprint = Fingerprint(status_text), .file_mask = file_mask};
}

std::optional<ServedStart::Seen>& ServedStart::LastSeen() {
  static thread_local std::optional<Seen> t_seen;
  return t_seen;
}

absl::StatusOr<ServedStart> ServedStart::Prepare(const ContextOptions& context) {
  BROOD_ASSIGN_OR_RETURN(Seen seen, Look());
  LastSeen() = seen;
  return Make(context, std::move(seen));
}

std::optional<ServedStart> ServedStart::Guess(const ContextOptions& context) {
  if (!LastSeen().has_value()) return std::nullopt;
  ServedStart start = Make(context, *LastSeen());
  start.is_guess_ = true;
  // It would be born of what we are now, and stand for what we were.
  start.StartNone();
  return start;
}

bool ServedStart::Confirm(Process& child) const {
  const absl::StatusOr<Seen> now = Look();
  if (!now.ok() || *now != seen_) return false;
  auto& state = static_cast<GuardedState&>(*StateOf(child));
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (state.link != nullptr) {
    state.link->SendWord();
    return true;
  }
  // If it has ended there is nobody to hear it.
  (void)!send(state.word.get(), "", 1, MSG_NOSIGNAL);
  state.word.reset();
  return true;
}

ServedStart ServedStart::Make(const ContextOptions& context, Seen seen) {
  ServedStart start;
  start.patience_ = {.start = context.preload_timeout,
                     .request = context.server_timeout,
                     .children = context.rotate_after_children,
                     .age = context.rotate_after};
  start.birth_patience_ = context.server_timeout;
  start.server_ = FindForkServer({.executable = context.executable, .preload = context.preload, .freeze = context.freeze,
                                  .templates = context.templates},
                                 seen.fingerprint);
  start.seen_ = std::move(seen);
  return start;
}

bool ServedStart::NeedsNewServer(const absl::Status& status) {
  return absl::IsPermissionDenied(status) && absl::StartsWith(status.message(), absl::StrCat(kBirthStep, ": "));
}

std::unique_ptr<ChildLink> ServedStart::Lease(std::string_view slot) {
  std::unique_ptr<ForkServer::Lease> lease = server_->TakeLease(patience_, slot);
  if (lease == nullptr) {
    slot_ = slot;
    return nullptr;
  }
  instance_ = lease->instance;
  auto child = std::make_unique<LeasedChild>(std::move(lease));
  leased_ = child.get();
  return child;
}

void ServedStart::LeaseAfter(Process& child) const {
  if (slot_.empty() || instance_ == nullptr) return;
  auto& state = static_cast<GuardedState&>(*StateOf(child));
  const std::lock_guard<std::mutex> lock(state.mutex);
  // One that is not used any more is to end, whoever still holds this.
  state.take_keeper = [weak = std::weak_ptr<ForkServer::Instance>(instance_), slot = slot_](UniqueFd keeper) {
    std::shared_ptr<ForkServer::Instance> instance = weak.lock();
    if (instance != nullptr) ForkServer::GiveBack({.instance = std::move(instance), .plan = slot, .socket = std::move(keeper)});
  };
}

absl::Status ServedStart::Launch(const LaunchRecord& record) {
  BROOD_ASSIGN_OR_RETURN(Birth birth, CaptureBirth());
  birth.file_mask = seen_.file_mask;
  if (birth_ != nullptr) {
    if (birth_->file_mask >= 0) birth.file_mask = static_cast<mode_t>(birth_->file_mask);
    if (birth_->has_nice) birth.scheduling.nice = birth_->nice;
    for (size_t i = 0; i < birth.rlimits.size(); ++i) {
      if (birth_->has_limit[i]) birth.rlimits[i] = birth_->limits[i];
    }
  }
  UniqueFd cwd;
  if (record.plan.mount_count == 0 && record.slot == nullptr) {
    cwd.reset(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!cwd.valid()) return ErrnoStatus(errno, "open", "the working directory");
    birth.cwd = cwd.get();
  }
  const EncodedLaunch encoded = EncodeLaunch(record, birth, birth_patience_);
  if (leased_ != nullptr) return leased_->Order(encoded.bytes, encoded.fds, OutputOf(record, encoded.fds));
  BROOD_ASSIGN_OR_RETURN(instance_, server_->Send(encoded.bytes, encoded.fds, patience_, slot_.empty() ? 0 : kLeaseAfter,
                                                       record.slot != nullptr ? std::string_view(record.slot, record.slot_size) : std::string_view()));
  return absl::OkStatus();
}

absl::Status ServedStart::AwaitGuardian(Process& process) const {
  if (internal::AwaitGuardian(process, patience_.request + kSupervisorsPatience)) return absl::OkStatus();
  // It may have been stopped, by anybody of its user, and has nothing to be stopped for.
  server_->Continue(instance_);
  if (internal::AwaitGuardian(process, kSupervisorsPatience)) return absl::OkStatus();
  server_->Kill(instance_);
  return absl::DeadlineExceededError(
      absl::StrCat("the forkserver's supervisor has not taken the request within ", absl::FormatDuration(patience_.request),
                   ", and was killed; the next start has another; see server_timeout"));
}

}  // namespace brood::internal
