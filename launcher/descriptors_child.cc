#include "launcher/descriptors_child.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

namespace brood::child {
namespace {

constexpr size_t kMaxKept = 1024;

int CloseRange(unsigned first, unsigned last) {
  // Never a loop over all numbers: a descriptor limit of a billion would make it take minutes. close_range(2).
  return first > last || syscall(SYS_close_range, first, last, 0) == 0 ? 0 : errno;
}

// The record's own descriptors, as pointers, so that one list serves moving and keeping.
template <typename Visit>
void ForEach(LaunchRecord* record, Visit visit) {
  for (size_t i = 0; i < record->child_fd_count; ++i) visit(&record->child_fds[i].source);
  visit(&record->control);
  visit(&record->report);
  visit(&record->owner);
  visit(&record->guardian_socket);
  visit(&record->init_socket);
  visit(&record->setup_socket);
  visit(&record->stack_sink);
  for (size_t i = 0; i < record->copies.in_count; ++i) visit(&record->copies.in[i].source);
  for (size_t i = 0; i < record->copies.out_count; ++i) visit(&record->copies.out[i].sink);
  visit(&record->target.executable_fd);
  for (StreamRecord& stream : record->streams) {
    visit(&stream.pipe);
    visit(&stream.sink);
    visit(&stream.copy);
  }
  visit(&record->input.source);
  visit(&record->input.sink);
  visit(&record->input.terminal);
  for (size_t i = 0; i < record->cgroup.count; ++i) {
    visit(&record->cgroup.directories[i].fd);
    visit(&record->cgroup.directories[i].tasks_fd);
  }
}

struct Kept {
  int numbers[kMaxKept];
  size_t count = 0;
  bool full = false;
  void Add(int fd) {
    if (fd < 0) return;
    if (count == kMaxKept) {
      full = true;
    } else {
      numbers[count++] = fd;
    }
  }
  bool Has(int fd) const {
    for (size_t i = 0; i < count; ++i) {
      if (numbers[i] == fd) return true;
    }
    return false;
  }
  int CloseOthers() const { return full ? E2BIG : CloseAllBut(numbers, count); }
};

}  // namespace

int CloseAllBut(const int* keep, size_t count) {
  unsigned next = 0;
  for (;;) {
    // The smallest kept number that is not below `next`; the lists are short.
    unsigned lowest = UINT_MAX;
    for (size_t i = 0; i < count; ++i) {
      if (keep[i] >= 0 && static_cast<unsigned>(keep[i]) >= next && static_cast<unsigned>(keep[i]) < lowest) {
        lowest = static_cast<unsigned>(keep[i]);
      }
    }
    if (lowest == UINT_MAX) break;
    if (lowest > next) {
      if (const int error = CloseRange(next, lowest - 1); error != 0) return error;
    }
    next = lowest + 1;
  }
  return CloseRange(next, UINT_MAX);
}

int TakeDescriptors(LaunchRecord* record) {
  int error = 0;
  Kept kept;
  ForEach(record, [&](int* fd) {
    if (*fd < 0 || error != 0) return;
    // One that is the child's and ours too (a stream, and where its output is passed on to) becomes two: the child's is closed.
    if (*fd < record->lowest_free || kept.Has(*fd)) {
      const int moved = fcntl(*fd, F_DUPFD_CLOEXEC, record->lowest_free);
      if (moved < 0) {
        error = errno;
        return;
      }
      *fd = moved;
    }
    kept.Add(*fd);
  });
  return error != 0 ? error : kept.CloseOthers();
}

int KeepInitDescriptors(const LaunchRecord& record) {
  Kept kept;
  for (size_t i = 0; i < record.child_fd_count; ++i) kept.Add(record.child_fds[i].source);
  kept.Add(record.init_socket);
  kept.Add(record.target.executable_fd);
  for (size_t i = 0; i < record.copies.in_count; ++i) kept.Add(record.copies.in[i].source);
  for (size_t i = 0; i < record.cgroup.count; ++i) kept.Add(record.cgroup.directories[i].tasks_fd);
  return kept.CloseOthers();
}

int PlaceChildDescriptors(const LaunchRecord& record, int besides) {
  Kept kept;
  kept.Add(besides);
  for (size_t i = 0; i < record.child_fd_count; ++i) {
    // dup2 clears close-on-exec on the copy; sources are all above lowest_free, so no copy hits a source. dup(2).
    if (dup2(record.child_fds[i].source, record.child_fds[i].child_fd) < 0) return errno;
    kept.Add(record.child_fds[i].child_fd);
  }
  kept.Add(record.init_socket);
  kept.Add(record.target.executable_fd);
  return kept.CloseOthers();
}

}  // namespace brood::child
