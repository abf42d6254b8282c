#include <fcntl.h>
#include <stdio_ext.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/finalizer.h"
#include "forkserver/birth.h"
#include "forkserver/fingerprint.h"
#include "forkserver/server.h"
#include "forkserver/status_text.h"
#include "launcher/guardian_child.h"
#include "launcher/launch_flatbuffer.h"
#include "launcher/launch_internal.h"
#include "launcher/served_start.h"

namespace brood::internal {
namespace {

constexpr char kBirthStep[] = "birth";

// --- in the server and its forks ---

// As a guardian that could not begin; see RunGuardian.
void Report(int report_fd, const char* step, int error, std::string_view detail) {
  GuardianReport report;
  report.setup_failed = 1;
  report.setup.kind = SetupKind::kFailed;
  report.setup.error_number = error;
  child::CopyText(report.setup.step, sizeof(report.setup.step), step);
  child::CopyText(report.setup.detail, sizeof(report.setup.detail), std::string(detail).c_str());
  // A pipe of the client's: if it is anything else, or full, the sender is not one of ours and is told nothing.
  fcntl(report_fd, F_SETFL, O_NONBLOCK);
  (void)!write(report_fd, &report, sizeof(report));
}

void Refuse(Request& request, int error, std::string_view detail) {
  if (!request.fds.empty()) Report(request.fds[0].get(), "forkserver", error, detail);
}

void RunServed(void* /*unused*/, int setup_fd) {
  __fpurge(stdin);
  __fpurge(stdout);
  __fpurge(stderr);
  ForgetFinalizers();
  RunMessage(kMessageFd, setup_fd);
}

pid_t ForkTarget(void* record) {
  const pid_t pid = _Fork();
  if (pid == 0) child::RunLightTarget(*static_cast<LaunchRecord*>(record));
  return pid < 0 ? -errno : pid;
}

void Run(Request& request) {
  prctl(PR_SET_NAME, "brood-guardian", 0, 0, 0);  // Before the target can look who its parent is.
  absl::StatusOr<std::unique_ptr<ReceivedLaunch>> launch = DecodeLaunch(std::move(request.bytes), request.fds);
  if (!launch.ok()) return Refuse(request, 0, launch.status().message());
  if (const char* failed = ApplyBirth((*launch)->birth); failed != nullptr) {
    return Report((*launch)->record.report, kBirthStep, errno, failed);
  }
  for (UniqueFd& fd : request.fds) (void)fd.release();  // The guardian's from now on.
  ReceivedLaunch* const mine = launch->release();
  mine->record.served = true;
  mine->record.target.run = RunServed;
  if (!NeedsNoInit(mine->record)) child::RunGuardian(&mine->record);
  child::RunLightGuardian(&mine->record, {.fork_target = ForkTarget, .release = [](void*) {}, .arg = &mine->record});
}

[[maybe_unused]] const bool g_serves = ServeForks({.run = Run, .refuse = Refuse});

}  // namespace

// --- in the client ---

absl::StatusOr<ServedStart> ServedStart::Prepare(const ContextOptions& context) {
  ServedStart start;
  BROOD_ASSIGN_OR_RETURN(start.status_text_, ReadStatusText());
  start.patience_ = {.start = context.preload_timeout, .request = context.server_timeout};
  start.server_ = FindForkServer({.executable = context.executable, .preload = context.preload, .freeze = context.freeze},
                                 Fingerprint(start.status_text_));
  return start;
}

bool ServedStart::NeedsNewServer(const absl::Status& status) {
  return absl::IsPermissionDenied(status) && absl::StartsWith(status.message(), absl::StrCat(kBirthStep, ": "));
}

absl::Status ServedStart::Launch(const LaunchRecord& record) {
  BROOD_ASSIGN_OR_RETURN(Birth birth, CaptureBirth(status_text_));
  UniqueFd cwd;
  if (record.plan.mount_count == 0) {
    cwd.reset(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!cwd.valid()) return ErrnoStatus(errno, "open", "the working directory");
    birth.cwd = cwd.get();
  }
  const EncodedLaunch encoded = EncodeLaunch(record, birth);
  BROOD_ASSIGN_OR_RETURN(instance_, server_->Send(encoded.bytes, encoded.fds, patience_));
  return absl::OkStatus();
}

absl::Status ServedStart::AwaitGuardian(Process& process) const {
  if (internal::AwaitGuardian(process, patience_.request)) return absl::OkStatus();
  server_->Kill(instance_);
  return absl::DeadlineExceededError(
      absl::StrCat("the forkserver has not taken the request within ", absl::FormatDuration(patience_.request),
                   ", because it is stopped, or overloaded, and was killed; the next start has another; see server_timeout"));
}

}  // namespace brood::internal
