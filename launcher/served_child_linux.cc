#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "base/child_safe.h"
#include "bootstrap/after_fork.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/finalizer.h"
#include "bootstrap/inherited_streams.h"
#include "bootstrap/reseed.h"
#include "forkserver/keeper_child.h"
#include "forkserver/server.h"
#include "launcher/descriptors_child.h"
#include "launcher/guardian_child.h"
#include "launcher/launch_flatbuffer.h"
#include "launcher/served_call.h"
#include "launcher/served_child.h"
#include "launcher/target_child.h"

namespace brood::internal {
namespace {

void RunServed(void* record, int setup_fd) {
  char word;
  if (static_cast<const LaunchRecord*>(record)->target.awaits_word && read(setup_fd, &word, 1) != 1) _exit(125);
  ForgetInheritedText();
  ForgetFinalizers();
  ReseedGenerators();
  RunAfterFork();
  RunMessage(kMessageFd, setup_fd);
}

// On the set-up socket, which has not its own number yet: the supervisor reports it.
void FailTarget(const LaunchRecord& record, const char* step, int error, std::string_view detail) {
  const SetupMessage message = SetupFailureOf(step, error, detail);
  for (size_t i = 0; i < record.child_fd_count; ++i) {
    if (record.child_fds[i].child_fd != record.target.setup_child_fd) continue;
    if (write(record.child_fds[i].source, &message, sizeof(message)) < 0) break;
  }
  _exit(125);
}

// Its keeper is the target's parent, and ends what it leaves; the supervisor is its guardian in all else.
[[noreturn]] void RunTarget(LaunchRecord& record) {
  record.control = record.report = record.owner = record.setup_socket = -1;
  const int error = child::TakeDescriptors(&record);
  if (error != 0) FailTarget(record, "descriptors", error, "move or close descriptors (see the limit of open files)");
  child::RunLightTarget(record);
}

}  // namespace

SetupMessage SetupFailureOf(const char* step, int error, std::string_view detail) {
  SetupMessage message;
  message.kind = SetupKind::kFailed;
  message.error_number = error;
  child::CopyText(message.step, sizeof(message.step), step);
  child::CopyText(message.detail, sizeof(message.detail), std::string(detail).c_str());
  return message;
}

void ReportSetup(int report_fd, const char* step, int error, std::string_view detail) {
  GuardianReport report;
  report.setup_failed = 1;
  report.setup = SetupFailureOf(step, error, detail);
  // A pipe of the client's: if it is anything else, or full, the sender is not one of ours and is told nothing.
  fcntl(report_fd, F_SETFL, O_NONBLOCK);
  (void)!write(report_fd, &report, sizeof(report));
}

void FailServedChild(Request& request, const absl::Status& status) {
  if (!request.fds.empty()) ReportSetup(request.fds[0].get(), kServerStep, 0, status.message());
}

namespace {

// Besides the keeper, not instead of it: if that is killed the target goes too. prctl(2), PR_SET_PDEATHSIG. It may have been
// killed before this.
void EndWithKeeper(int keeper) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid() != keeper) _exit(125);
}

}  // namespace

void RunServedCall(std::string_view bytes, int sender, const child::SlotBirth* slot) {
  if (!IsCall(bytes)) return;
  EndWithKeeper(sender);
  RunCall(bytes, slot);
}

void RunServedChild(Request& request) {
  const bool is_guardian = (child::OrderTag::Decode(request.tag).flags & child::OrderTag::kGuard) != 0;
  if (!is_guardian) EndWithKeeper(request.sender);
  if (IsCall(request.bytes)) RunCall(request.bytes, request.slot);
  absl::StatusOr<std::unique_ptr<ReceivedLaunch>> launch = DecodeLaunch(std::move(request.bytes), request.fds);
  if (!launch.ok()) return FailServedChild(request, launch.status());
  ReceivedLaunch* const mine = launch->release();
  LaunchRecord& record = mine->record;
  record.served = true;
  record.target.run = RunServed;
  record.target.arg = &record;
  if (is_guardian) prctl(PR_SET_NAME, "brood-guardian", 0, 0, 0);  // Before the target can look who its parent is.
  const child::SlotBirth* const slot = request.slot;
  if (slot != nullptr) {
    // A program has a session of its own in every sandbox: of a group's leader the kernel would refuse that to it later. setsid(2)
    if (record.target.kind == LaunchTarget::Kind::kProgram) {
      setsid();
    } else {
      child::LeaveKeepersGroup();
    }
    record.plan.rlimits = slot->rlimits;
    record.plan.rlimit_count = slot->rlimit_count;
  }
  if (const char* failed = ApplyBirth(mine->birth, slot != nullptr ? &BirthOfServer() : nullptr); failed != nullptr) {
    if (!is_guardian) FailTarget(record, kBirthStep, errno, failed);
    return ReportSetup(record.report, kBirthStep, errno, failed);
  }
  for (UniqueFd& fd : request.fds) (void)fd.release();
  if (!is_guardian) RunTarget(record);
  child::RunGuardian(&record);
}

}  // namespace brood::internal
