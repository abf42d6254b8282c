#include "launcher/violation_watch_child.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <iterator>

#include "launcher/violation_texts_child.h"
#include "sandbox/notice_child.h"

namespace brood::child {

void ViolationWatch::Begin(int listener) {
  listener_ = listener;
  // Whatever the filter has us told of beside violations.
  only_violations_ = std::none_of(plan_.filter, plan_.filter + plan_.filter_length, [](const sock_filter& i) {
    return i.code == (BPF_RET | BPF_K) && (i.k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF && i.k != NoticeAction(Notice::kViolation);
  });
}

void ViolationWatch::End() {
  if (listener_ >= 0) close(listener_);
  listener_ = -1;
}

bool ViolationWatch::Receive(short events, GuardianReport* report) {
  // Without POLLIN nothing is there to receive: no process uses the filter any more. Before Linux 6.11 the call for it
  // would then wait for ever. kernel/seccomp.c, seccomp_notify_recv().
  if ((events & POLLIN) == 0) {
    End();
    return false;
  }
  alignas(8) char buffer[1024] = {};  // The kernel's record may grow. seccomp_unotify(2).
  auto* notification = reinterpret_cast<seccomp_notif*>(buffer);
  if (ioctl(listener_, SECCOMP_IOCTL_NOTIF_RECV, notification) != 0) {
    // ENOENT: the call was interrupted before we looked, by the end of its process, or by a signal whose handler it goes on
    // after. It may have been one that is allowed. Any other: no process uses the filter any more.
    if (errno == ENOENT && only_violations_) seen_ = true;
    if (errno != ENOENT && errno != EINTR) End();
    return false;
  }
  const uint32_t result = RunFilter(plan_.filter, plan_.filter_length, notification->data);
  if (result == NoticeAction(Notice::kReport)) {
    Report(*notification, report);
    LetThrough(notification->id);
    return false;
  }
  if (result == NoticeAction(Notice::kConnect) || result == NoticeAction(Notice::kReportedConnect)) {
    if (result == NoticeAction(Notice::kReportedConnect)) Report(*notification, report);
    connects_.Handle(listener_, *notification, report);
    return false;
  }
  report->violation_number = notification->data.nr;
  report->violation_arch = notification->data.arch;
  report->violation_ip = notification->data.instruction_pointer;
  report->violation_tid = notification->pid;
  for (int i = 0; i < 6; ++i) report->violation_args[i] = notification->data.args[i];
  CopyViolationTexts(*notification, report);
  return true;
}

void ViolationWatch::Report(const seccomp_notif& notification, GuardianReport* report) const {
  NotifiedRecord* const end = report->notified + report->notified_count;
  NotifiedRecord* const found = std::find_if(
      report->notified, end, [&](const NotifiedRecord& record) { return record.number == notification.data.nr; });
  if (found != end) {
    if (found->count != UINT32_MAX) ++found->count;
    return;
  }
  if (report->notified_count == std::size(report->notified)) return;
  ++report->notified_count;
  found->number = notification.data.nr;
  found->count = 1;
  std::copy(std::begin(notification.data.args), std::end(notification.data.args), found->first_args);
}

// Its arguments can change meanwhile, but they are not what it is let through for.
void ViolationWatch::LetThrough(uint64_t id) const {
  seccomp_notif_resp response = {};
  response.id = id;
  response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  ioctl(listener_, SECCOMP_IOCTL_NOTIF_SEND, &response);  // ENOENT: its process has ended meanwhile.
}

}  // namespace brood::child
