#include "ipc/wait.h"

#include <poll.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/connection.h"
#include "ipc/deadline.h"

namespace brood {

Waitable::Waitable(const Connection& connection)
    : fd_(connection.descriptor()), sends_only_(!connection.closed() && !connection.readable()) {}

absl::StatusOr<std::vector<size_t>> Wait(absl::Span<const Waitable> objects, absl::Duration timeout) {
  const internal::Deadline deadline(timeout);
  if (objects.empty() && deadline.infinite()) {
    return absl::InvalidArgumentError("wait: for ever, and for nothing");
  }
  const auto not_open = [&](size_t i) {
    return absl::InvalidArgumentError(
        absl::StrCat("wait: object ", i, ", descriptor ", objects[i].descriptor(), ", is not open"));
  };
  std::vector<pollfd> polled;
  polled.reserve(objects.size());
  for (size_t i = 0; i < objects.size(); ++i) {
    // poll(2) would skip it without a word.
    if (objects[i].descriptor() < 0) return not_open(i);
    if (objects[i].sends_only()) {
      return absl::InvalidArgumentError(
          absl::StrCat("wait: object ", i, " is an end of a connection that only sends: nothing will ever come"));
    }
    polled.push_back({.fd = objects[i].descriptor(), .events = POLLIN, .revents = 0});
  }
  int ready = -1;
  do {
    const internal::Deadline::Timespec left = deadline.ToTimespec();
    ready = ppoll(polled.data(), polled.size(), left.get(), nullptr);
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) {
    return ErrnoStatus(errno, "poll", absl::StrCat(polled.size(), " descriptors"),
                       errno == EINVAL ? "no more at once than the limit of open files" : "");
  }
  std::vector<size_t> indices;
  for (size_t i = 0; i < polled.size(); ++i) {
    if ((polled[i].revents & POLLNVAL) != 0) return not_open(i);
    if (polled[i].revents != 0) indices.push_back(i);
  }
  return indices;
}

}  // namespace brood
