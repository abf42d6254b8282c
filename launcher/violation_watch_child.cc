#include "launcher/violation_watch_child.h"

#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

namespace brood::child {

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
    // after. Any other: no process uses the filter any more.
    if (errno == ENOENT) seen_ = true;
    if (errno != ENOENT && errno != EINTR) End();
    return false;
  }
  report->violation_number = notification->data.nr;
  report->violation_arch = notification->data.arch;
  report->violation_ip = notification->data.instruction_pointer;
  report->violation_tid = notification->pid;
  for (int i = 0; i < 6; ++i) report->violation_args[i] = notification->data.args[i];
  return true;
}

}  // namespace brood::child
